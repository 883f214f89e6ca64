"""An asyncio loop in virtual time: waiting takes no time, and time passes by waiting alone."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    """Instead of waiting for time to pass, it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen: all tasks wait for each other"
            self.now_s += timeout
        return ready


class VirtualTime(asyncio.SelectorEventLoop):
    """Runs one coroutine; `time` is the clock for whatever it measures."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds, of the virtual clock."""
        return self._clock.now_s

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """The coroutine's result; the loop is closed."""
        try:
            return self.run_until_complete(main)
        finally:
            self.close()
