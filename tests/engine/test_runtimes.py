"""The real networks on real photos, by every runtime that this machine has."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from face_engine import cores
from face_engine.errors import DeviceUnavailableError, InferenceError, RuntimeUnavailableError
from face_engine.images import decode
from face_engine.matching import compare
from face_engine.networks.graph import Convolution
from face_engine.networks.models import load_detector
from face_engine.pipeline import FaceEngine, dominant_face, left_to_right
from face_engine.runtimes import RUNTIMES, Runtime, choose_runtime, create_runtime, device_status, onnx
from face_engine.runtimes.converted import (
    HEAD_REACH,
    PROPOSAL_MARGIN,
    STEM_STRIDE,
    STEM_WINDOW,
    ConvertedRuntime,
    Model,
    Scorer,
)
from face_engine.runtimes.dlib_steps import CHIP_PADDING, CHIP_SIZE, Aligner
from face_engine.types import Box, Detection, Template
from face_engine.weights import LANDMARKS, verify
from support.photos import collage, jpeg, noise, portrait

BOX_TOLERANCE = 1  # pixel
CONFIDENCE_TOLERANCE = 1e-3
TEMPLATE_TOLERANCE = 1e-5

OURS = ("onnx", "openvino")


@pytest.fixture(scope="module", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return _create(request.param)


@pytest.fixture(scope="module", params=OURS)
def ours(request: pytest.FixtureRequest) -> Runtime:
    return _create(request.param)


@pytest.fixture(scope="module")
def reference() -> Runtime:
    return _create("reference")


def _create(name: str) -> Runtime:
    status = device_status(name, "cpu")
    if not status.available:
        pytest.skip(f"the runtime {name} cannot run here: {status.detail}")
    return create_runtime(name, "cpu")


def template_of(engine: FaceEngine, name: str) -> Template:
    return dominant_face(engine.analyse(jpeg(portrait(name)))).template


def test_the_same_person_matches_and_another_does_not(engine: FaceEngine) -> None:
    references = [template_of(engine, "obama.jpg"), template_of(engine, "obama3.jpg")]
    assert compare(template_of(engine, "obama2.jpg"), references).verdict == "match"
    assert compare(template_of(engine, "biden.jpg"), references).verdict == "dismatch"


def test_faces_of_a_collage_are_told_apart_from_left_to_right(engine: FaceEngine) -> None:
    obama = template_of(engine, "obama2.jpg")
    analysis = engine.analyse(jpeg(collage(["biden.jpg", "obama.jpg", "biden.jpg"])))
    verdicts = [compare(face.template, [obama]).verdict for face in left_to_right(analysis)]
    assert verdicts == ["dismatch", "match", "dismatch"]


def test_no_face_is_found_where_there_is_none(engine: FaceEngine) -> None:
    assert engine.analyse(jpeg(noise())).faces == ()


def test_averaged_views_bring_two_photos_of_a_person_closer(engine: FaceEngine) -> None:
    plain = FaceEngine(engine.runtime, views="plain")
    distances = [
        compare(template_of(one, "obama.jpg"), [template_of(one, "obama2.jpg")]).distance for one in (engine, plain)
    ]
    assert distances[0] < distances[1]


@pytest.mark.parametrize("upsample", [0, 1])
def test_ours_answer_what_dlib_answers(ours: Runtime, reference: Runtime, upsample: int) -> None:
    image = collage(["biden.jpg", "obama.jpg"]) if upsample == 0 else portrait("obama.jpg", 160)
    expected = reference.detect(image, upsample)
    assert expected
    _check_detections(ours.detect(image, upsample), expected)
    boxes = [detection.box for detection in expected]
    faces, answers = ours.align(image, boxes), reference.align(image, boxes)
    for face, answer in zip(faces, answers, strict=True):
        assert np.array_equal(face.landmarks, answer.landmarks)
        assert np.array_equal(face.chip, answer.chip)
    chips = [face.chip for face in faces]
    assert ours.encode(chips) == pytest.approx(reference.encode(chips), abs=TEMPLATE_TOLERANCE)
    assert ours.encoder_id == reference.encoder_id


def test_a_photo_upsampled_twice_is_searched_as_dlib_does(ours: Runtime, reference: Runtime) -> None:
    image = portrait("obama.jpg", 64)
    expected = reference.detect(image, 2)
    assert expected
    _check_detections(ours.detect(image, 2), expected)


def _check_detections(found: list[Detection], expected: list[Detection]) -> None:
    assert len(found) == len(expected)
    for detection, answer in zip(found, expected, strict=True):
        assert np.abs(np.subtract(detection.box.ltrb, answer.box.ltrb)).max() <= BOX_TOLERANCE
        assert detection.confidence == pytest.approx(answer.confidence, abs=CONFIDENCE_TOLERANCE)


def test_the_reference_answers_what_face_recognition_itself_answers(reference: Runtime) -> None:
    with pytest.warns(UserWarning, match="pkg_resources is deprecated"):
        import face_recognition  # noqa: PLC0415 - takes a second, and warns

    engine = FaceEngine.exact(reference, upsample=0)
    photo = jpeg(portrait("obama.jpg"))
    image = decode(photo)
    ((top, right, bottom, left),) = face_recognition.face_locations(image, 0, model="cnn")
    (encoding,) = face_recognition.face_encodings(image, [(top, right, bottom, left)], model="small")
    face = dominant_face(engine.analyse(photo))
    assert face.box.ltrb == (left, top, right, bottom)
    assert face.template.vector == pytest.approx(encoding, abs=1e-6)


@pytest.mark.parametrize(("oracle", "upsample"), [("dlib-reference", 0), ("dlib-reference-upsample1", 1)])
def test_agreement_with_dlibs_own_answers(ours: Runtime, groups: Path, oracle: str, upsample: int) -> None:
    engine = FaceEngine.exact(ours, upsample)
    expected: dict[str, Any] = json.loads((groups / f"{oracle}.json").read_text())["images"]
    assert sum(len(answer["faces"]) for answer in expected.values()) > 30
    for name, answer in expected.items():
        analysis = engine.analyse((groups / name).read_bytes())
        assert (analysis.width, analysis.height) == (answer["width"], answer["height"]), name
        assert len(analysis.faces) == len(answer["faces"]), name
        for face, wanted in zip(analysis.faces, answer["faces"], strict=True):
            assert np.abs(np.subtract(face.box.ltrb, wanted["box"])).max() <= BOX_TOLERANCE, name
            assert np.abs(face.landmarks - np.array(wanted["landmarks"])).max() <= BOX_TOLERANCE, name
            assert face.confidence == pytest.approx(wanted["confidence"], abs=CONFIDENCE_TOLERANCE), name
            assert face.template.vector == pytest.approx(wanted["template"], abs=TEMPLATE_TOLERANCE), name


def test_the_default_search_finds_what_dlib_finds(engine: FaceEngine, groups: Path) -> None:
    """Upsampled once in photos up to 0.5 megapixel, at full size up to 3.2."""
    answers = {
        name: json.loads((groups / f"{name}.json").read_text())["images"]
        for name in ("dlib-reference", "dlib-reference-upsample1")
    }
    for name, full_size in answers["dlib-reference"].items():
        small = full_size["width"] * full_size["height"] <= 500_000
        wanted = (answers["dlib-reference-upsample1"][name] if small else full_size)["faces"]
        found = [face.box.ltrb for face in engine.analyse((groups / name).read_bytes()).faces]
        for face in wanted:
            assert any(np.abs(np.subtract(box, face["box"])).max() <= BOX_TOLERANCE for box in found), name


@pytest.mark.parametrize("size_wh", [(1, 1), (31, 2000), (2000, 31), (32, 32), (33, 1200), (40_000, 33)])
def test_pictures_of_any_shape_can_be_searched(engine: FaceEngine, size_wh: tuple[int, int]) -> None:
    # dlib corrupts its memory on pictures of a few pixels: the engine must not hand it any.
    width, height = size_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert FaceEngine.exact(engine.runtime, upsample=0).analyse(jpeg(image)).faces == ()


def test_a_face_cut_by_the_border_is_scored_as_dlib_does(ours: Runtime, reference: Runtime) -> None:
    # Near the plane's edge the network sees zeros of its own: the place where strips and windows can go wrong.
    image = np.ascontiguousarray(portrait("obama.jpg", 480)[60:, 60:])
    expected = reference.detect(image, 0)
    assert expected
    _check_detections(ours.detect(image, 0), expected)


def _noisy(model: Model) -> Model:
    """Return a model whose answers are off by as much as reduced precision may be, and a little more often."""

    def run(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        answer = model(values)
        noise = np.random.default_rng(0).uniform(-0.9, 0.9, answer.shape) * PROPOSAL_MARGIN
        return (answer + noise).astype(np.float32)

    return run


@pytest.mark.parametrize("crop", [(0, 0), (60, 60), (100, 0), (0, 117)])
@pytest.mark.parametrize("upsample", [0, 1])
def test_what_a_rough_scorer_proposes_the_exact_one_decides(crop: tuple[int, int], upsample: int) -> None:
    models = load_detector()
    exact = onnx.build("exact", "cpu", 1, models)
    stem, head = onnx.Session(lambda: models.stem, "cpu", 1), onnx.Session(lambda: models.head, "cpu", 1)
    proposed = onnx.build("proposed", "cpu", 1, models, proposer=Scorer(stem, _noisy(head)))
    image = np.ascontiguousarray(collage(["biden.jpg", "obama.jpg"])[crop[0] :, crop[1] :])
    expected = exact.detect(image, upsample)
    assert expected
    found = proposed.detect(image, upsample)
    assert [detection.box for detection in found] == [detection.box for detection in expected]
    assert [one.confidence for one in found] == pytest.approx([one.confidence for one in expected], abs=1e-5)


def test_a_crowd_is_scored_as_a_whole() -> None:
    """Where the windows around the candidates would cover more than half of the map."""
    models = load_detector()
    scored: list[tuple[int, ...]] = []
    stem, head = onnx.Session(lambda: models.stem, "cpu", 1), onnx.Session(lambda: models.head, "cpu", 1)

    def everywhere(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        return np.ones_like(head(values))

    def counted(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        scored.append(values.shape)
        return head(values)

    detector = models.parameters
    runtime = onnx.build("exact", "cpu", 1, models)
    crowd = ConvertedRuntime(
        "crowd",
        "cpu",
        runtime.encoder_id,
        detector,
        scorer=Scorer(stem, counted),
        encoder=stem,
        aligner=Aligner(verify(LANDMARKS)),
        proposer=Scorer(stem, everywhere),
    )
    image = portrait("obama.jpg")
    assert crowd.detect(image, 0) == runtime.detect(image, 0)
    assert len(scored) == 1


def test_the_windows_are_as_large_as_the_networks_reach() -> None:
    nodes = load_detector().parameters.network.nodes
    layers = [node.operation for node in nodes if isinstance(node.operation, Convolution)]
    stem, head = [layer for layer in layers if layer.stride > 1], [layer for layer in layers if layer.stride == 1]
    reach, stride = 1, 1
    for layer in stem:
        reach += (layer.weights.shape[2] - 1) * stride
        stride *= layer.stride
    assert (reach, stride) == (STEM_WINDOW, STEM_STRIDE)
    assert sum(layer.weights.shape[2] // 2 for layer in head) == HEAD_REACH


def test_a_box_at_or_beyond_the_border_is_aligned(runtime: Runtime) -> None:
    (face,) = runtime.align(portrait("obama.jpg"), [Box(-40, -40, 60, 60)])
    assert face.chip.shape == (CHIP_SIZE, CHIP_SIZE, 3)
    assert face.landmarks.shape == (5, 2)


def test_nothing_to_encode_is_an_empty_array(runtime: Runtime) -> None:
    assert runtime.encode([]).shape == (0, 128)


def test_many_faces_are_encoded_like_one(ours: Runtime) -> None:
    rng = np.random.default_rng(0)
    chips = [rng.integers(0, 256, (CHIP_SIZE, CHIP_SIZE, 3), dtype=np.uint8) for _ in range(120)]
    together = ours.encode(chips)
    assert together.shape == (120, 128)
    for index in (0, 99, 100, 119):
        assert ours.encode([chips[index]])[0] == pytest.approx(together[index], abs=1e-6)


def test_many_threads_get_the_answers_of_one(ours: Runtime) -> None:
    engine = FaceEngine(ours)
    photos = [jpeg(portrait(name, height)) for name in ("obama.jpg", "biden.jpg") for height in (200, 260, 320)]
    expected = [engine.analyse(photo).faces for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        answers = [answer.faces for answer in pool.map(engine.analyse, photos * 4)]
    for faces, wanted in zip(answers, expected * 4, strict=True):
        assert [face.box for face in faces] == [face.box for face in wanted]
        assert [face.template.vector.tobytes() for face in faces] == [face.template.vector.tobytes() for face in wanted]


def test_an_error_inside_a_runtime_is_translated(runtime: Runtime) -> None:
    with pytest.raises(InferenceError):
        runtime.encode([np.zeros((10, 10, 3), np.uint8)])


def test_the_encoder_id_names_what_makes_a_template(runtime: Runtime) -> None:
    assert f"/5pt-{CHIP_SIZE}px-pad{CHIP_PADDING}/" in runtime.encoder_id
    assert runtime.encoder_id.endswith("/float32")


@pytest.mark.parametrize("name", RUNTIMES)
def test_asking_for_cuda_where_there_is_none_says_what_is_missing(name: str) -> None:
    status = device_status(name, "cuda")
    if status.available:
        pytest.skip(f"the runtime {name} has CUDA and a GPU here: there is nothing missing to tell")
    missing = r"without CUDA|no NVIDIA GPU|does not answer|cannot use a GPU|on the CPU only|not installed"
    with pytest.raises(DeviceUnavailableError, match=missing):
        create_runtime(name, "cuda")


def test_auto_stands_for_a_runtime_that_can_run() -> None:
    name, why = choose_runtime("cpu")
    assert device_status(name, "cpu").available
    assert why
    assert choose_runtime("cuda")[0] == "onnx"
    assert create_runtime("auto", "cpu").name == name


def test_an_unknown_runtime_is_refused_by_name() -> None:
    with pytest.raises(RuntimeUnavailableError, match="no runtime is called 'magic'; there is onnx, openvino, referen"):
        create_runtime("magic", "cpu")


@pytest.mark.parametrize(
    ("quota", "expected"), [("100000 100000\n", 1), ("50000 100000\n", 1), ("max 100000\n", None), ("", None)]
)
def test_a_containers_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, expected: int | None
) -> None:
    all_cores = cores.usable_cores()
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)), raising=False)
    assert cores.usable_cores() == (expected or 64)
    monkeypatch.setattr(cores, "CGROUP_QUOTA", tmp_path / "missing")
    assert cores.usable_cores() == 64 >= all_cores
