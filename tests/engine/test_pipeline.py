import numpy as np
import pytest

from face_engine.errors import ImageTooManyPixelsError, NoFaceFoundError, SeveralFacesError, UnsupportedImageTypeError
from face_engine.pipeline import FaceEngine, left_to_right, only_face
from face_engine.types import Box
from support.fakes import ENCODER_ID, FakeRuntime
from support.photos import noise, png

LEFT, RIGHT = Box(10, 10, 89, 89), Box(200, 5, 279, 84)


def test_every_face_is_detected_aligned_and_encoded() -> None:
    analysis = FaceEngine(FakeRuntime([RIGHT, LEFT])).analyse(png(noise(320, 200)))
    assert (analysis.width, analysis.height) == (320, 200)
    assert [face.box for face in analysis.faces] == [RIGHT, LEFT]
    assert [float(face.template.vector[0]) for face in analysis.faces] == [200.0, 10.0]
    assert {face.template.encoder_id for face in analysis.faces} == {ENCODER_ID}
    assert all(face.chip.shape == (150, 150, 3) and face.template.vector.shape == (128,) for face in analysis.faces)
    assert list(analysis.timings_ms) == ["decode", "detect", "align", "encode"]
    assert all(milliseconds >= 0 for milliseconds in analysis.timings_ms.values())


def test_a_photo_without_faces_is_analysed_too() -> None:
    analysis = FaceEngine(FakeRuntime()).analyse(png(noise(320, 200)))
    assert analysis.faces == ()


def test_the_photo_is_upsampled_once_by_default() -> None:
    runtime = FakeRuntime()
    FaceEngine(runtime).analyse(png(noise(320, 200)))
    assert runtime.searched == [((200, 320, 3), 1)]


def test_boxes_found_in_a_reduced_photo_are_in_pixels_of_the_photo() -> None:
    runtime = FakeRuntime([Box(10, 10, 89, 89)])
    analysis = FaceEngine(runtime, max_detection_pixels=16_000).analyse(png(noise(320, 200)))
    assert runtime.searched == [((100, 160, 3), 0)]
    assert analysis.faces[0].box == Box(20, 20, 178, 178)


@pytest.mark.parametrize("size_wh", [(1, 1), (20, 300), (300, 15)])
def test_a_photo_too_small_for_the_network_holds_no_face(size_wh: tuple[int, int]) -> None:
    runtime = FakeRuntime([LEFT])
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    assert FaceEngine(runtime, upsample=0).analyse(png(image)).faces == ()
    assert runtime.searched == []


def test_limits_reach_the_decoder() -> None:
    with pytest.raises(ImageTooManyPixelsError):
        FaceEngine(FakeRuntime(), max_pixels=100).analyse(png(noise(320, 200)))
    with pytest.raises(UnsupportedImageTypeError):
        FaceEngine(FakeRuntime()).analyse(b"no photo")


def test_only_face() -> None:
    photo = png(noise(320, 200))
    assert only_face(FaceEngine(FakeRuntime([LEFT])).analyse(photo)).box == LEFT
    with pytest.raises(NoFaceFoundError):
        only_face(FaceEngine(FakeRuntime()).analyse(photo))
    with pytest.raises(SeveralFacesError, match="2 faces"):
        only_face(FaceEngine(FakeRuntime([LEFT, RIGHT])).analyse(photo))


def test_left_to_right_and_then_downwards() -> None:
    below = Box(10, 100, 89, 179)
    analysis = FaceEngine(FakeRuntime([RIGHT, below, LEFT])).analyse(png(noise(320, 200)))
    assert [face.box for face in left_to_right(analysis)] == [LEFT, below, RIGHT]
