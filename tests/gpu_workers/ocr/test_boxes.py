"""Boxes around words, against EasyOCR's own search."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from easyocr.craft_utils import getDetBoxes

from gpu_workers.ocr.boxes import find_boxes


def blobs(seed: int, size: tuple[int, int], blur: float) -> tuple[np.ndarray, np.ndarray]:
    """Maps of text and links in [-0.2, 1.2], of blobs about `blur` wide, some cut by the border."""
    rng = np.random.default_rng(seed)
    noise = [cv2.GaussianBlur(rng.normal(size=size), (0, 0), blur) for _ in range(2)]
    text, link = ((map_ / map_.std() * 0.35 + 0.2).clip(-0.2, 1.2) for map_ in noise)
    return text.astype(np.float32), link.astype(np.float32)


@pytest.mark.parametrize(
    ("size", "blur", "least"),
    [((544, 960), 2.0, 300), ((270, 480), 3.0, 50), ((272, 480), 9.0, 10), ((40, 700), 2.5, 20)],
)
def test_boxes_are_exactly_easyocrs(size: tuple[int, int], blur: float, least: int) -> None:
    for seed in range(2):
        text, link = blobs(seed, size, blur)
        expected, _, _ = getDetBoxes(text, link, 0.7, 0.4, 0.4)
        found = find_boxes(text, link)
        assert len(found) == len(expected) >= least
        for box, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(box, other)


def test_a_single_bar_a_square_and_a_link_between_words() -> None:
    text, link = np.zeros((2, 60, 100), np.float32)
    text[10:14, 5:40] = 0.9  # a bar
    text[30:42, 60:72] = 0.9  # a square: upright, not tilted
    text[50:55, 5:20] = text[50:55, 30:45] = 0.8  # two words, linked to one
    link[50:55, 20:30] = 0.6
    text[20:22, 80:84] = 0.9  # too small
    text[25:30, 5:30] = 0.6  # too weak
    expected, _, _ = getDetBoxes(text, link, 0.7, 0.4, 0.4)
    found = find_boxes(text, link)
    assert len(found) == 3
    np.testing.assert_array_equal(found, expected)


def test_a_page_without_text_has_no_boxes() -> None:
    nothing = np.zeros((32, 48), np.float32)
    assert find_boxes(nothing, nothing) == []
