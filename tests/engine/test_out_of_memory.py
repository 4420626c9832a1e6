"""Memory that runs out is told as that, and given back: the next photo is answered."""

import gc
import json
import subprocess
import sys
import weakref
from traceback import walk_tb

import numpy as np
import pytest

from face_engine.errors import InferenceError, OutOfMemoryError, RuntimeUnavailableError
from face_engine.networks.models import load_detector
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import RUNTIMES, check_runtime, device_status, onnx
from face_engine.runtimes.failures import HEAD_LENGTH, TAIL_LENGTH, inference_error, let_go
from face_engine.types import Detection, ImageRGB
from support.fakes import FakeRuntime
from support.photos import noise, png

OF_ONNX_RUNTIME = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. "


def of_cuda(failure: str, kind: str, expression: str) -> str:
    """Return what ONNX Runtime says of a call that failed, in full: the place in its source comes first, and twice."""
    place = (
        "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 "
        "std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, "
        f"const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = {kind}; bool THRW = true; "
        f"SUCCTYPE = {kind}; std::conditional_t<THRW, void, common::Status> = void] "
    )
    where = "GPU=0 ; hostname=gpu-1 ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_allocator.cc ; line=48"
    return f"{OF_ONNX_RUNTIME}{place}{place}{failure} ; {where} ; expr={expression}; "


MESSAGES = [
    f"{OF_ONNX_RUNTIME}bfc_arena.cc:360 Available memory of 20971264 is smaller than requested bytes of 23083776",
    f"{OF_ONNX_RUNTIME}bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 939524096",
    of_cuda("CUDA failure 2: out of memory", "cudaError", "cudaMalloc((void**)&p, size)"),
    of_cuda("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", "cublasStatus_t", "cublasCreate(&cublas_handle_)"),
    of_cuda("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED", "cudnnStatus_t", "cudnnCreate(&cudnn_handle_)"),
    of_cuda("CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "cudnnStatus_t", "run()"),
    f"{OF_ONNX_RUNTIME}Name:'node1_nchwc' Status Message: std::bad_alloc",
    "Error while calling cudaMalloc(&data, n) in file gpu_data.cpp:218. code: 2, reason: out of memory",
    "Error while calling cudnnCreate(&handles[i]) in file cudnn_dlibapi.cpp:104. code: 1, reason: CUDA Resources could "
    "not be allocated.",
]
"""As ONNX Runtime 1.31 and dlib 20.0.1 write them, by their own strings, and by what others were told on a GPU."""

OTHER_MESSAGES = [
    of_cuda("CUDA failure 700: an illegal memory access was encountered", "cudaError", "cudaStreamSynchronize(stream)"),
    of_cuda("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED", "cudnnStatus_t", "run()"),
    "Error while calling cudaGetDevice(&id) in file x.cpp:1. code: 100, reason: no CUDA-capable device is detected",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_memory_that_ran_out_is_told_as_that(message: str) -> None:
    assert type(inference_error(RuntimeError(message))) is OutOfMemoryError


@pytest.mark.parametrize("message", OTHER_MESSAGES)
def test_what_is_no_lack_of_memory_is_not_told_as_one(message: str) -> None:
    assert type(inference_error(RuntimeError(message))) is InferenceError


def test_what_a_long_message_begins_and_ends_with_is_told() -> None:
    failure = "CUDA failure 700: an illegal memory access was encountered"
    told = str(inference_error(RuntimeError(of_cuda(failure, "cudaError", "cudaStreamSynchronize(stream)"))))
    assert OF_ONNX_RUNTIME in told and failure in told
    assert len(told) <= HEAD_LENGTH + TAIL_LENGTH + len(" ... ")


def _run(program: str) -> dict[str, object]:
    """Run a program in a process of its own, whose memory it may bound; return what it prints as JSON."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_what_onnx_runtime_says_of_a_full_arena_is_a_lack_of_memory() -> None:
    """The setting for the GPU's memory is the limit of an arena; the CPU's arena is the same one."""
    answer = _run("""
import json, numpy, onnxruntime
from face_engine.networks.models import load_detector
from face_engine.runtimes.failures import inference_error

info = onnxruntime.OrtMemoryInfo(
    "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
)
onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": 20 << 20}))
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.use_env_allocators", "1")
options.log_severity_level = 4
session = onnxruntime.InferenceSession(load_detector().head, options, providers=["CPUExecutionProvider"])
try:
    session.run(None, {session.get_inputs()[0].name: numpy.zeros((1, 32, 700, 260), numpy.float32)})
except Exception as error:
    print(json.dumps({"kind": type(inference_error(error)).__name__, "message": str(error)}))
""")
    assert answer["kind"] == "OutOfMemoryError", answer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to an amount of memory")
def test_the_photo_after_one_that_found_no_memory_is_answered() -> None:
    """With the memory of the whole process bounded: of the sessions, which all begin anew, and of the photo's plane."""
    answer = _run("""
import json, resource, numpy, psutil
from face_engine.errors import OutOfMemoryError
from face_engine.runtimes import create_runtime

runtime = create_runtime("onnx", threads=1)
small = numpy.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=numpy.uint8)
chip = numpy.ascontiguousarray(small[:150, :150])
before = runtime.encode([chip])
runtime.detect(small, 0)
began = [runtime._scorer.stem._session, runtime._scorer.head._session, runtime._encoder._session]
limit = psutil.Process().memory_info().vms + (300 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
features = numpy.zeros((1, 32, 3000, 260), numpy.float32)
try:
    runtime._scorer.head(features)
    told = "nothing"
except OutOfMemoryError as error:
    told = str(error)
del features
sessions = [runtime._scorer.stem._session, runtime._scorer.head._session, runtime._encoder._session]
found = runtime.detect(small, 0)
same = bool(numpy.array_equal(runtime.encode([chip]), before))
anew = runtime._encoder._session not in (None, began[2])
print(json.dumps({"told": told, "ended": sessions == [None] * 3, "found": len(found), "same": same, "anew": anew}))
""")
    assert "bad_alloc" in str(answer.pop("told"))
    assert answer == {"ended": True, "found": 0, "same": True, "anew": True}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to an amount of memory")
def test_dlib_itself_goes_on_after_a_photo_that_found_no_memory() -> None:
    answer = _run("""
import json, resource, numpy, psutil
from face_engine.errors import OutOfMemoryError
from face_engine.runtimes import create_runtime

runtime = create_runtime("reference", threads=1)
chip = numpy.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=numpy.uint8)
before = runtime.encode([chip])
limit = psutil.Process().memory_info().vms + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    runtime.detect(numpy.zeros((3000, 3000, 3), numpy.uint8), 0)
    told = "nothing"
except OutOfMemoryError as error:
    told = str(error)
ended = runtime._networks is None
same = bool(numpy.array_equal(runtime.encode([chip]), before))
print(json.dumps({"told": told, "ended": ended, "same": same}))
""")
    assert answer == {"told": "std::bad_alloc", "ended": True, "same": True}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to an amount of memory")
def test_an_error_keeps_no_networks_while_others_are_loaded_in_their_place() -> None:
    """A worker process knows its last error until the next one, and a GPU may have no room for two sets of networks."""
    answer = _run("""
import json, resource, weakref, cv2, numpy, psutil
from face_engine.errors import OutOfMemoryError
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import create_runtime

photo = cv2.imencode(".jpg", numpy.zeros((2000, 2000, 3), numpy.uint8))[1].tobytes()
runtime = create_runtime("reference", threads=1)
engine = FaceEngine.exact(runtime, 0)
engine.warm_up()
networks = weakref.ref(runtime._networks)
limit = psutil.Process().memory_info().vms + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    engine.analyse(photo)
    known = None
except OutOfMemoryError as error:
    known = error
print(json.dumps({"told": str(known), "kept": networks() is not None}))
""")
    assert answer == {"told": "std::bad_alloc", "kept": False}


def test_an_error_keeps_no_photo() -> None:
    decoded: list[weakref.ref[ImageRGB]] = []

    class Full(FakeRuntime):
        def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
            decoded.append(weakref.ref(image_rgb))
            raise MemoryError

    with pytest.raises(OutOfMemoryError) as caught:
        FaceEngine(Full()).analyse(png(noise(320, 200)))
    assert caught.value.__context__ is None
    assert decoded[0]() is None


def test_an_error_is_gone_once_nobody_knows_it() -> None:
    """Rather than when Python looks for what holds itself."""

    def fail(_: object) -> None:
        raise InferenceError("a network failed")

    class Photo:
        pass

    photo = Photo()
    alive = weakref.ref(photo)
    gc.disable()
    try:
        with pytest.raises(InferenceError) as caught:
            let_go(fail, photo)
        del photo
        frames = [frame.f_code.co_name for frame, _ in walk_tb(caught.value.__traceback__)]
        assert frames == ["test_an_error_is_gone_once_nobody_knows_it", "let_go"]
        assert alive() is None
    finally:
        gc.enable()


def test_an_error_does_not_keep_the_session_that_it_came_from() -> None:
    """What a session took of a GPU's memory is free once the session is; an error may be known for long."""
    session = onnx.Session(lambda: load_detector().head, "cpu", 1)
    alive = weakref.ref(session._session)
    with pytest.raises(InferenceError) as caught:
        session(np.zeros((1, 7, 20, 20), np.float32))
    session._end_all()
    assert caught.value.__cause__ is None
    assert alive() is None


def test_a_bound_on_the_gpus_memory_is_divided_among_the_sessions() -> None:
    shares = (onnx.STEM_SHARE, onnx.HEAD_SHARE, onnx.ENCODER_SHARE)
    assert sum(shares) == 1
    assert onnx.cuda_options(123)["gpu_mem_limit"] == "123"
    assert "gpu_mem_limit" not in onnx.cuda_options(None)
    assert onnx.cuda_options(123)["use_tf32"] == onnx.cuda_options(None)["use_tf32"] == "0"


@pytest.mark.parametrize("name", RUNTIMES)
def test_only_what_can_be_held_to_a_bound_takes_one(name: str) -> None:
    if not device_status(name, "cpu").available:
        pytest.skip(f"the runtime {name} cannot run here")
    with pytest.raises(RuntimeUnavailableError, match="on cpu cannot be held to an amount of GPU memory"):
        check_runtime(name, "cpu", gpu_memory_mb=2048)
