"""dlib's face networks as ONNX models: read from its .dat files, folded, written, validated and cached."""
