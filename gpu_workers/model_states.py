"""The states of the files of models: ready, missing, or failed and why.

The folder of the weights may be on a file system that does not answer. So a thread of its own looks
at it; if it hangs, the last known states stay. Before a model is loaded, another thread asks the
folder, and the load is refused if it does not answer: the models that are resident can be used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from contextlib import suppress
from typing import NamedTuple

from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import Stamp, WeightsStore
from ipc.messages import ModelStates, TaskSpec

REFRESH_S = 2.0
FIRST_S = 5.0
ANSWER_S = 10.0
READY, MISSING = "ready", "missing"
SILENT = "the folder of the weights (MODEL_CACHE_DIR) does not answer"
UNKNOWN = f"unknown: {SILENT}"


class _Failure(NamedTuple):
    """Why a model was not loaded, and its files then: others may be good."""

    reason: str
    stamps: tuple[Stamp | None, ...]


class ModelFiles:
    """The files of models, and the models whose last loading failed, by their key."""

    def __init__(self, weights: WeightsStore) -> None:
        self._weights = weights
        self._failures: dict[str, _Failure] = {}
        self._asking = ThreadPoolExecutor(1, "model-files")

    def size_bytes(self, wanted: TaskSpec) -> int:
        """The size of all files of a model that are there.

        Raises ModelUnavailable if the folder does not answer within ANSWER_S.
        """
        return sum(stamp.size_bytes for stamp in self._known_stamps(wanted) if stamp)

    def failed(self, wanted: TaskSpec, reason: str) -> None:
        """The model could not be loaded."""
        self._failures[wanted.model_key] = _Failure(reason, self._known_stamps(wanted))

    def loaded(self, wanted: TaskSpec) -> None:
        """The model was loaded."""
        self._failures.pop(wanted.model_key, None)

    def states(self, wanted: TaskSpec) -> dict[str, str]:
        """The state of each file of a model. A failure counts until a file changes."""
        try:
            stamps = self._stamps(wanted)
        except (ModelUnavailable, OSError) as error:
            return dict.fromkeys(wanted.weights, f"failed: {error}")
        states = {
            name: READY if stamp else MISSING
            for name, stamp in zip(wanted.weights, stamps, strict=True)
        }
        failure = self._failures.get(wanted.model_key)
        if failure is None or failure.stamps != stamps:
            return states
        named = [name for name in states if name in failure.reason] or list(states)
        failed = {name: f"failed: {failure.reason}" for name in named if states[name] == READY}
        return states | failed

    def _stamps(self, wanted: TaskSpec) -> tuple[Stamp | None, ...]:
        return tuple(self._weights.stamp(name, wanted.task) for name in wanted.weights)

    def _known_stamps(self, wanted: TaskSpec) -> tuple[Stamp | None, ...]:
        asked = self._asking.submit(self._stamps, wanted)
        try:
            return asked.result(ANSWER_S)
        except TimeoutError:
            asked.cancel()
            raise ModelUnavailable(
                f"{wanted.model_key} cannot be loaded: {SILENT}. Check its file system"
            ) from None
        except (ModelUnavailable, OSError):
            return ()  # loading says why


class StatesWatch:
    """Reports the states of the default models whenever they change, from a thread of its own."""

    def __init__(
        self,
        files: ModelFiles,
        defaults: Sequence[TaskSpec],
        report: Callable[[ModelStates], None],
    ) -> None:
        self._files = files
        self._defaults = defaults
        self._report = report
        self._wanted = threading.Event()
        self._known = threading.Event()

    def start(self) -> None:
        """Report the states; they are unknown until the folder answers, which may be never."""
        names = [name for wanted in self._defaults for name in wanted.weights]
        self._report(ModelStates(dict.fromkeys(names, UNKNOWN)))
        threading.Thread(target=self._watch, name="model-states", daemon=True).start()
        self._known.wait(FIRST_S)

    def refresh(self) -> None:
        """Look at the files now."""
        self._wanted.set()

    def _watch(self) -> None:
        reported = None
        while True:
            self._wanted.clear()
            states: dict[str, str] = {}
            for wanted in self._defaults:
                states |= self._files.states(wanted)
            if states != reported:
                with suppress(OSError):  # the front is gone; the heartbeat acts on it
                    self._report(ModelStates(states))
                reported = states
            self._known.set()
            self._wanted.wait(REFRESH_S)
