"""Whether the processes of a deployment can serve every task, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.children.supervisor import Child


class Readiness:
    """`needed` maps each task to the names of the workers that may run it."""

    def __init__(
        self,
        workers: Sequence[Child],
        decoders: Sequence[Child],
        needed: Mapping[str, frozenset[str]],
    ) -> None:
        self._workers = workers
        self._decoders = decoders
        self._needed = needed

    @property
    def ready(self) -> bool:
        """Whether there is no obstacle."""
        return not self.obstacles

    @property
    def obstacles(self) -> list[str]:
        """What keeps the service from being ready.

        It needs a decoder, a worker for each task, and the end of every worker's first start. A
        worker whose start fails is no obstacle if others can run its tasks.
        """
        ready = {worker.spec.name for worker in self._workers if worker.state == "ready"}
        unserved = [task for task, names in self._needed.items() if not names & ready]
        starting = [worker.spec.name for worker in self._workers if not worker.settled]
        found = []
        if not any(decoder.state == "ready" for decoder in self._decoders):
            found.append("no decoder is ready")
        if unserved:
            found.append(f"no worker is ready for {', '.join(unserved)}")
        if starting:
            found.append(f"not started yet: {', '.join(starting)}")
        return found

    @property
    def absent(self) -> list[str]:
        """The workers that are not ready, their devices, and why their last processes ended."""
        return [_absence(worker) for worker in self._workers if worker.state != "ready"]


def _absence(worker: Child) -> str:
    reason = f": {worker.reason}" if worker.reason else ""
    return f"{worker.spec.name} on {worker.spec.device} is {worker.state}{reason}"
