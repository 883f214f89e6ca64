"""Whether a measured figure meets its limit, and whether it reaches the aim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A limit that must be met, and an aim; `at_most` if lower figures are better."""

    limit: float
    aim: float | None = None
    at_most: bool = False
    unit: str = ""

    @property
    def words(self) -> str:
        """The limit, then the aim."""
        return " / ".join(f"{one:g}{self.unit}" for one in (self.limit, self.aim) if one)

    def verdict(self, figure: float) -> str:
        """One word for a table."""
        if not self._reached(figure, self.limit):
            return "MISSED"
        return "aim" if self.aim and self._reached(figure, self.aim) else "met"

    def _reached(self, figure: float, wanted: float) -> bool:
        return figure <= wanted if self.at_most else figure >= wanted
