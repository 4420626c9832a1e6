"""The real networks on real photos."""

import json
from pathlib import Path

import numpy as np
import pytest

from face_engine.errors import DeviceUnavailableError, InferenceError, RuntimeUnavailableError
from face_engine.images import decode
from face_engine.matching import compare
from face_engine.pipeline import FaceEngine, left_to_right, only_face
from face_engine.runtimes import create_runtime, device_status
from face_engine.types import Box, Template
from support.photos import collage, jpeg, noise, portrait

BOX_TOLERANCE = 1  # pixel
CONFIDENCE_TOLERANCE = 1e-3
TEMPLATE_TOLERANCE = 1e-5


def template_of(engine: FaceEngine, name: str) -> Template:
    return only_face(engine.analyse(jpeg(portrait(name)))).template


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


def test_it_answers_what_face_recognition_itself_answers(engine: FaceEngine) -> None:
    # The engine has loaded it: importing it is a matter of care (see face_engine.runtimes.reference).
    import face_recognition  # noqa: PLC0415

    photo = jpeg(portrait("obama.jpg"))
    image = decode(photo)
    ((top, right, bottom, left),) = face_recognition.face_locations(image, 0, model="cnn")
    (encoding,) = face_recognition.face_encodings(image, [(top, right, bottom, left)], model="small")
    face = only_face(engine.analyse(photo))
    assert face.box.ltrb == (left, top, right, bottom)
    assert face.template.vector == pytest.approx(encoding, abs=1e-6)


def test_agreement_with_dlibs_own_answers(engine: FaceEngine, groups: Path) -> None:
    reference = json.loads((groups / "dlib-reference.json").read_text())["images"]
    for name, expected in reference.items():
        analysis = engine.analyse((groups / name).read_bytes())
        assert (analysis.width, analysis.height) == (expected["width"], expected["height"]), name
        assert len(analysis.faces) == len(expected["faces"]), name
        for face, answer in zip(analysis.faces, expected["faces"], strict=True):
            assert np.abs(np.subtract(face.box.ltrb, answer["box"])).max() <= BOX_TOLERANCE, name
            assert np.abs(face.landmarks - np.array(answer["landmarks"])).max() <= BOX_TOLERANCE, name
            assert face.confidence == pytest.approx(answer["confidence"], abs=CONFIDENCE_TOLERANCE), name
            assert face.template.vector == pytest.approx(answer["template"], abs=TEMPLATE_TOLERANCE), name


@pytest.mark.parametrize("size_wh", [(1, 1), (31, 2000), (2000, 31), (32, 32), (33, 1200)])
def test_pictures_of_any_shape_can_be_searched(engine: FaceEngine, size_wh: tuple[int, int]) -> None:
    # dlib corrupts its memory on pictures of a few pixels: the engine must not hand it any.
    width, height = size_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert engine.analyse(jpeg(image)).faces == ()


def test_a_box_at_or_beyond_the_border_is_aligned(engine: FaceEngine) -> None:
    (face,) = engine.runtime.align(portrait("obama.jpg"), [Box(-40, -40, 60, 60)])
    assert face.chip.shape == (150, 150, 3)
    assert face.landmarks.shape == (5, 2)


def test_nothing_to_encode_is_an_empty_array(engine: FaceEngine) -> None:
    assert engine.runtime.encode([]).shape == (0, 128)


def test_an_error_inside_dlib_is_translated(engine: FaceEngine) -> None:
    with pytest.raises(InferenceError):
        engine.runtime.encode([np.zeros((10, 10, 3), np.uint8)])


def test_asking_for_cuda_where_there_is_none_says_what_is_missing() -> None:
    status = device_status("reference", "cuda")
    if status.available:
        pytest.skip("this dlib has CUDA and a GPU: there is nothing missing to tell")
    with pytest.raises(DeviceUnavailableError, match=r"compiled without CUDA|no NVIDIA GPU|does not answer"):
        create_runtime("reference", "cuda")


def test_an_unknown_runtime_is_refused_by_name() -> None:
    with pytest.raises(RuntimeUnavailableError, match="no runtime is called 'magic'; there is reference"):
        create_runtime("magic", "cpu")
