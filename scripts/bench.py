"""`make bench`: the benchmark over photos of the size that the service takes, 300 to 500 KB.

face_recognition's own photos and, where the development set lies beside this checkout, its group photos as well; what
is not within the band is encoded anew, as it is or enlarged.
"""

import sys
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np

from face_engine.cli import main as face_engine
from face_engine.images import decode
from face_engine.types import ImageRGB
from sample_photos import sample_photo

GROUPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "groups"
SAMPLES = ("obama.jpg", "biden.jpg", "obama2.jpg", "obama3.jpg")
BAND = range(300_000, 500_000)
QUALITIES = (95, 98, 90, 100, 85, 80, 70, 60)
SCALES = (1.0, 1.5, 2.0, 3.0, 0.75, 0.5)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for photo in [sample_photo(name) for name in SAMPLES] + sorted(GROUPS.glob("*.jpg")):
            for number, data in enumerate(in_band(photo.read_bytes())):
                path = Path(folder) / f"{photo.stem}-{number}"
                path.write_bytes(data)
                paths.append(str(path))
        print(f"{len(paths)} photos of {BAND.start // 1000} to {BAND.stop // 1000} KB", file=sys.stderr)
        face_engine.main(["benchmark", *paths, *sys.argv[1:]])


def in_band(data: bytes) -> list[bytes]:
    """Return the photo if its size is within the band, else as PNG and as JPEG of another size where they fit."""
    if len(data) in BAND:
        return [data]
    image = decode(data)
    png = in_format(image, ".png")
    jpeg = _jpeg_in_band(image)
    return [encoded for encoded in (png, jpeg) if encoded is not None and len(encoded) in BAND]


def _jpeg_in_band(image: ImageRGB) -> bytes | None:
    for scale in SCALES:
        resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for quality in QUALITIES:
            encoded = in_format(np.asarray(resized, np.uint8), ".jpg", quality)
            if len(encoded) in BAND:
                return encoded
    return None


def in_format(image_rgb: ImageRGB, suffix: str, quality: int = 95) -> bytes:
    """Return the image encoded as the suffix says."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    return bytes(cv2.imencode(suffix, cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), options)[1].tobytes())


if __name__ == "__main__":
    try:
        main()
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
