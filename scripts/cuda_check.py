"""`make cuda-check`: what the networks answer and cost on this machine's NVIDIA GPU, beside the CPU.

It uses whatever here can use CUDA: ONNX Runtime once onnxruntime-gpu is installed in place of onnxruntime, dlib once
it is compiled with CUDA in place of dlib-bin. The exit status is 0 if the GPU finds the faces that the CPU finds, 1 if
not, 3 if nothing here can use a GPU.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import GROUPS, SAMPLES
from face_engine.benchmark import measure, table
from face_engine.images import decode
from face_engine.matching import distances
from face_engine.runtimes import RUNTIMES, Runtime, create_runtime, device_status
from face_engine.types import Box, Detection, ImageRGB
from sample_photos import sample_photo

BOX_TOLERANCE = 1  # pixel
CONFIDENCE_TOLERANCE = 1e-2


def main() -> int:
    runtimes = []
    for name in RUNTIMES:
        status = device_status(name, "cuda")
        print(f"{name}: {status.detail}")
        if status.available:
            runtimes.append(name)
    if not runtimes:
        print("Nothing here can use a GPU.", file=sys.stderr)
        return 3
    print(gpu_name())
    paths = [sample_photo(name) for name in SAMPLES] + sorted(GROUPS.glob("*.jpg"))
    cpu = create_runtime("onnx", "cpu")
    agrees = [compare(create_runtime(name, "cuda"), cpu, paths) for name in runtimes]
    photos = [path.read_bytes() for path in paths]
    print("\n".join(["", *table(measure(photos, runtimes, "cuda")), "", *table(measure(photos, ["onnx"], "cpu"))]))
    return 0 if all(agrees) else 1


def compare(gpu: Runtime, cpu: Runtime, paths: list[Path]) -> bool:
    """Print how far the GPU's answers lie from the CPU's; return whether it finds the same faces."""
    faces, boxes, confidences, apart = 0, 0, 0.0, 0.0
    same = True
    for path in paths:
        image = decode(path.read_bytes())
        found, expected = gpu.detect(image, 0), cpu.detect(image, 0)
        if len(found) != len(expected):
            same = False
            print(f"  {path.name}: {len(found)} faces on the GPU, {len(expected)} on the CPU")
            continue
        for one, other in zip(_by_place(found), _by_place(expected), strict=True):
            boxes = max(boxes, int(np.abs(np.subtract(one.box.ltrb, other.box.ltrb)).max()))
            confidences = max(confidences, abs(one.confidence - other.confidence))
        apart = max(apart, _template_distance(gpu, cpu, image, [item.box for item in expected]))
        faces += len(found)
    print(
        f"{gpu.name} on cuda against onnx on cpu: {faces} faces; at most {boxes} pixels, confidence {confidences:.1e} "
        f"and template distance {apart:.1e} apart; templates {gpu.encoder_id}"
    )
    return same and boxes <= BOX_TOLERANCE and confidences <= CONFIDENCE_TOLERANCE


def _template_distance(gpu: Runtime, cpu: Runtime, image: ImageRGB, boxes: list[Box]) -> float:
    chips = [face.chip for face in cpu.align(image, boxes)]
    pairs = zip(gpu.encode(chips), cpu.encode(chips), strict=True)
    return max((float(distances(one, other[None])[0]) for one, other in pairs), default=0.0)


def _by_place(found: list[Detection]) -> list[Detection]:
    return sorted(found, key=lambda detection: detection.box.ltrb)


def gpu_name() -> str:
    """Return the GPU's name, driver and memory as its driver tells them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown GPU: nvidia-smi is not installed"
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False, timeout=30).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
