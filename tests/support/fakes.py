"""Stand-ins for the networks, where a test is about something else. Real networks run in the tests of
face_engine.runtimes and end to end."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from face_engine.runtimes import Device
from face_engine.search import Scope
from face_engine.types import AlignedFace, Analysis, Box, Chip, Detection, Face, ImageRGB, Quality, Template

ENCODER_ID = "fake/1"
GOOD = Quality(size=150.0, sharpness=1.0, brightness=0.5, turn=0.0, inside=1.0, reasons=())


class FakeRuntime:
    """Sees a face wherever it is told to, and encodes a chip as its mean colour."""

    name = "fake"
    device: Device = "cpu"
    encoder_id = ENCODER_ID

    def __init__(self, boxes: Sequence[Box] = ()) -> None:
        self.boxes = list(boxes)
        self.searched: list[tuple[tuple[int, ...], int]] = []

    def detect(self, image_rgb: ImageRGB, upsample: int) -> list[Detection]:
        self.searched.append((image_rgb.shape, upsample))
        return [Detection(box, 1.0) for box in self.boxes]

    def align(self, image_rgb: ImageRGB, boxes: Sequence[Box]) -> list[AlignedFace]:
        chip = np.zeros((150, 150, 3), np.uint8)
        return [AlignedFace(np.full((5, 2), box.left, np.int32), chip + np.uint8(box.left % 256)) for box in boxes]

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        return np.array([np.full(128, chip.mean()) for chip in chips], np.float32).reshape(-1, 128)


class IdleAnalyser:
    """The part of an analyser that never has too much to do."""

    ready_workers = 1
    waiting = 0

    def check_room(self) -> None:
        """There is."""


class FakeAnalyser(IdleAnalyser):
    """Answers each photo with the faces that the test planted for its bytes."""

    runtime = "fake"
    encoder_id = ENCODER_ID

    def __init__(self) -> None:
        self.planted: dict[bytes, Analysis | Exception] = {}
        self.analysed = 0

    def plant(self, image: bytes, *faces: Face) -> None:
        self.planted[image] = Analysis(640, 480, faces, {"decode": 1.0, "detect": 2.0, "align": 1.0, "encode": 1.0})

    async def analyse(self, image_bytes: bytes, scope: Scope = "every_face") -> Analysis:
        self.analysed += 1
        answer = self.planted[image_bytes]
        if isinstance(answer, Exception):
            raise answer
        return answer


def face(identity: float, left: int = 0, encoder_id: str = ENCODER_ID, quality: Quality = GOOD) -> Face:
    """Return a face whose template lies `identity` from the origin: distances are differences of identities."""
    vector = np.zeros(128, np.float32)
    vector[0] = identity
    box = Box(left, 10, left + 99, 109)
    landmarks, chip = np.zeros((5, 2), np.int32), np.zeros((150, 150, 3), np.uint8)
    return Face(box, 1.0, landmarks, chip, Template(vector, encoder_id), quality)
