"""The fixed images on which stand-ins are calibrated."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
LIGHTS = ((1.0, 0.0), (0.5, 40.0))  # contrast and brightness


def calibration_pictures(height: int, width: int) -> list[Picture]:
    """Return RGB images, each (height, width, 3): photographs with several lights, and text.

    The photographs ship with ultralytics and with scikit-image, an easyocr dependency.
    """
    import cv2
    import skimage
    from ultralytics.utils import ASSETS

    folder = Path(skimage.__file__).parent / "data"
    files = [ASSETS / "bus.jpg", ASSETS / "zidane.jpg", *(folder / name for name in PHOTOGRAPHS)]
    pictures = []
    for file in files:
        photo = np.asarray(cv2.imread(str(file)))[:, :, ::-1]
        whole = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        pictures += [cv2.convertScaleAbs(whole, alpha=a, beta=b) for a, b in LIGHTS]
    return pictures


def written_lines(height: int, width: int, count: int = 24) -> Picture:
    """Return (count, height, width) greyscale images of one text line each, always the same."""
    import cv2

    rng = np.random.default_rng(0)
    lines = np.full((count, height, width), 220, np.uint8)
    for line in lines:
        letters = "".join(chr(65 + code) for code in rng.integers(0, 58, 14))
        scale = float(rng.uniform(0.8, 1.8))
        ink = int(rng.integers(0, 120))
        cv2.putText(line, letters, (4, 45), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 3)
    return lines
