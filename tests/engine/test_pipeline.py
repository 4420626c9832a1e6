import numpy as np
import pytest

from face_engine.errors import (
    ImageTooManyPixelsError,
    InferenceError,
    NoFaceFoundError,
    SeveralFacesError,
    UnsupportedImageTypeError,
)
from face_engine.pipeline import FaceEngine, dominant_face, left_to_right
from face_engine.quality import assess
from face_engine.search import ExactSearch
from face_engine.types import Box, Detection, ImageRGB
from support.fakes import ENCODER_ID, FakeRuntime
from support.photos import noise, png

LEFT, RIGHT = Box(10, 10, 89, 89), Box(200, 5, 279, 84)


def test_every_face_is_detected_aligned_and_encoded() -> None:
    analysis = FaceEngine(FakeRuntime([RIGHT, LEFT])).analyse(png(noise(320, 200)))
    assert (analysis.width, analysis.height) == (320, 200)
    assert [face.box for face in analysis.faces] == [RIGHT, LEFT]
    assert [float(face.template.vector[0]) for face in analysis.faces] == [200.0, 10.0]
    assert {face.template.encoder_id for face in analysis.faces} == {"fake/diagonal4/1"}
    assert all(face.chip.shape == (150, 150, 3) and face.template.vector.shape == (128,) for face in analysis.faces)
    assert all(face.quality == assess(face.landmarks, face.chip, 320, 200) for face in analysis.faces)
    assert list(analysis.timings_ms) == ["decode", "detect", "align", "encode"]
    assert all(milliseconds >= 0 for milliseconds in analysis.timings_ms.values())


def test_a_photo_without_faces_is_analysed_too() -> None:
    analysis = FaceEngine(FakeRuntime()).analyse(png(noise(320, 200)))
    assert analysis.faces == ()


def test_a_small_photo_is_upsampled_once_by_default() -> None:
    runtime = FakeRuntime([LEFT])
    FaceEngine(runtime).analyse(png(noise(320, 200)))
    assert runtime.searched == [((200, 320, 3), 1)]


def test_an_exact_engine_searches_once_and_does_not_average() -> None:
    runtime = FakeRuntime()
    engine = FaceEngine.exact(runtime, upsample=2)
    assert engine.encoder_id == ENCODER_ID
    assert engine.analyse(png(noise(320, 200)), "dominant_face").faces == ()
    assert runtime.searched == [((200, 320, 3), 2)]


def test_boxes_found_in_a_reduced_photo_are_in_pixels_of_the_photo() -> None:
    runtime = FakeRuntime([Box(10, 10, 209, 209)])
    analysis = FaceEngine(runtime).analyse(png(noise(2000, 1000)), "dominant_face")
    assert runtime.searched == [((500, 1000, 3), 0)]
    assert analysis.faces[0].box == Box(20, 20, 419, 419)


def test_the_search_for_a_dominant_face_goes_on_until_it_is_large_enough() -> None:
    runtime = FakeRuntime([LEFT])  # 160 pixels of the photo in the first pass, so that a rival has 80 in 1.1 times it
    FaceEngine(runtime).analyse(png(noise(2000, 1000)), "dominant_face")
    assert runtime.searched == [((500, 1000, 3), 0), ((1100, 2200, 3), 0)]


def test_two_people_of_about_the_same_size_are_refused_though_one_was_overlooked_at_first() -> None:
    class Sharper(FakeRuntime):
        def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
            return super().detect(image_rgb, upsample)[: len(self.searched)]

    for width, height in ((320, 200), (900, 600), (2000, 1000), (4000, 3000)):
        runtime = Sharper([Box(0, 0, 69, 69), Box(100, 0, 164, 64)])
        with pytest.raises(SeveralFacesError):
            dominant_face(FaceEngine(runtime).analyse(png(noise(width, height)), "dominant_face"))


def test_a_lack_of_memory_says_nothing_of_the_photo() -> None:
    class Full(FakeRuntime):
        def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
            raise MemoryError

    with pytest.raises(InferenceError, match="not enough memory"):
        FaceEngine(Full()).analyse(png(noise(320, 200)))


def test_where_nothing_is_found_there_is_a_second_look() -> None:
    runtime = FakeRuntime()
    assert FaceEngine(runtime).analyse(png(noise(320, 200))).faces == ()
    assert runtime.searched == [((200, 320, 3), 1), ((800, 1280, 3), 0)]


def test_what_a_coarse_pass_found_is_not_lost_when_the_finer_one_finds_nothing() -> None:
    class Fading(FakeRuntime):
        def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
            found = super().detect(image_rgb, upsample)
            return found if len(self.searched) == 1 else []

    runtime = Fading([LEFT])
    assert len(FaceEngine(runtime).analyse(png(noise(2000, 1000)), "dominant_face").faces) == 1
    assert len(runtime.searched) == 2


def test_templates_are_stamped_with_their_views() -> None:
    assert FaceEngine(FakeRuntime()).encoder_id == "fake/diagonal4/1"
    assert FaceEngine(FakeRuntime(), views="plain").encoder_id == ENCODER_ID


def test_warming_up_runs_every_network() -> None:
    runtime = FakeRuntime()
    FaceEngine(runtime).warm_up()
    assert len(runtime.searched) == 1


@pytest.mark.parametrize("size_wh", [(1, 1), (20, 300), (300, 15)])
def test_a_photo_too_small_for_the_network_holds_no_face(size_wh: tuple[int, int]) -> None:
    runtime = FakeRuntime([LEFT])
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    assert FaceEngine.exact(runtime, upsample=0).analyse(png(image)).faces == ()
    assert runtime.searched == []


def test_limits_reach_the_decoder() -> None:
    with pytest.raises(ImageTooManyPixelsError):
        FaceEngine(FakeRuntime(), max_pixels=100).analyse(png(noise(320, 200)))
    with pytest.raises(ImageTooManyPixelsError):
        FaceEngine(FakeRuntime(), search=ExactSearch(upsample=10)).analyse(png(noise(320, 300)))
    with pytest.raises(UnsupportedImageTypeError):
        FaceEngine(FakeRuntime()).analyse(b"no photo")


def test_the_dominant_face_has_at_least_twice_the_side_of_any_other() -> None:
    def dominant(*boxes: Box) -> Box:
        return dominant_face(FaceEngine(FakeRuntime(boxes)).analyse(png(noise(320, 200)))).box

    half, more_than_half = Box(200, 10, 239, 49), Box(200, 10, 240, 50)
    assert dominant(LEFT) == LEFT
    assert dominant(half, LEFT) == LEFT
    with pytest.raises(NoFaceFoundError):
        dominant()
    with pytest.raises(SeveralFacesError, match="2 faces"):
        dominant(LEFT, more_than_half, half)
    with pytest.raises(SeveralFacesError, match="3 faces"):
        dominant(LEFT, RIGHT, more_than_half)


def test_left_to_right_and_then_downwards() -> None:
    below = Box(10, 100, 89, 179)
    analysis = FaceEngine(FakeRuntime([RIGHT, below, LEFT])).analyse(png(noise(320, 200)))
    assert [face.box for face in left_to_right(analysis)] == [LEFT, below, RIGHT]
