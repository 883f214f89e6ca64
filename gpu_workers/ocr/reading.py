"""What every engine of OCR reads, and what an engine has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ipc.arena import Pixels
from ipc.messages import ModelInfo


@dataclass(frozen=True)
class Reading:
    """A piece of text, with its corners (4 x [x, y], clockwise) in the frame's pixels."""

    corners: list[list[float]]
    text: str
    confidence: float


class Engine(Protocol):
    """Reads the text of frames."""

    info: ModelInfo

    def prepare(self, frame: Pixels) -> Any:
        """Convert a (height, width, 3) RGB frame to what `read` needs; it keeps no reference."""

    def read(self, pages: list[Any]) -> list[list[Reading]]:
        """The text of each page. It does not depend on the other pages."""
