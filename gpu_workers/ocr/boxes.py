"""Turns CRAFT's score maps into word boxes.

The algorithm is from Baek et al., "Character Region Awareness for Text Detection" (2019),
section 3.3: join pixels that are text or a link between characters into connected components,
dilate each component that has a strong enough pixel, and fit the smallest rectangle around it. The
constants, and so the results, equal EasyOCR's. For speed, each component is processed within its
own bounds, not in the whole map.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

TEXT = 0.7  # minimum score of a word's strongest pixel
WEAK_TEXT = 0.4  # a word's pixel exceeds this score, or LINK
LINK = 0.4
MIN_AREA = 10
SQUARE = 0.1  # maximum relative difference of the sides of a square

ScoreMap = NDArray[np.float32]
Box = NDArray[np.float32]


def find_boxes(text: ScoreMap, link: ScoreMap) -> list[Box]:
    """Find word boxes in two (height, width) score maps: 4 x [x, y] in map pixels, clockwise.

    The first corner is the one with the smallest x + y.
    """
    strong = text > WEAK_TEXT
    joined = (strong | (link > LINK)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    boxes = []
    for label, (x, y, width, height, area) in enumerate(stats.tolist()):
        if label == 0 or area < MIN_AREA:  # label 0 is the background
            continue
        margin = int(math.sqrt(area * min(width, height) / (width * height)) * 2)
        top, left = max(0, y - margin), max(0, x - margin)
        around = np.s_[top : y + height + margin + 1, left : x + width + margin + 1]
        component = labels[around] == label
        if text[around].max(where=component, initial=-np.inf) >= TEXT:
            word = (component & strong[around]).astype(np.uint8)
            wide = cv2.dilate(word, np.ones((1 + margin, 1 + margin), np.uint8))
            boxes.append(_box_around(cv2.findNonZero(wide)[:, 0] + (left, top)))
    return boxes


def _box_around(points: NDArray[np.int64]) -> Box:
    """The minimum-area rectangle around points [x, y]; an upright one if it is nearly square."""
    box = cv2.boxPoints(cv2.minAreaRect(points.astype(np.int32)))
    sides = np.linalg.norm(box[0] - box[1]), np.linalg.norm(box[1] - box[2])
    if abs(1 - max(sides) / (min(sides) + 1e-5)) <= SQUARE:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        box = np.array(corners, np.float32)
    return np.roll(box, -int(box.sum(axis=1).argmin()), axis=0)
