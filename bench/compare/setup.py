"""What all groups of comparisons share: options, services, and a record of all turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.compare.rounds import Contest, Fields, Meeting, Side, meet
from bench.compare.service_side import Service
from bench.reporting.environment import describe
from bench.service_process import service

FULL = "fp32"
POOL_MB = "800"  # of each service; two of them may run at once


@dataclass
class Setup:
    """One run of `compare`; `step` receives progress messages.

    `footage`, `speech` and `pages` are real files, which may be missing.
    """

    output: Path
    models: Path
    pairs: int
    seconds: int
    talk_s: int
    starts: int
    half: str  # the half precision of the device
    footage: Sequence[Path]
    speech: Sequence[Path]
    pages: Sequence[Path]
    step: Callable[[str], None]
    meetings: list[Meeting] = field(default_factory=list)

    @property
    def clips(self) -> Path:
        """The folder for media."""
        return self.output / "clips"

    @property
    def copies(self) -> Path:
        """The media root of the services."""
        return self.clips / "compare"

    @contextmanager
    def service(self, precision: str = FULL) -> Iterator[Callable[..., Service]]:
        """A running service; the result makes sides of it, with more fields per task."""
        environ = {
            "MODEL_CACHE_DIR": str(self.models),
            "MEDIA_ROOTS": str(self.copies),
            "FRAME_POOL_MB": POOL_MB,
            "PRECISION": precision,
            "PRELOAD": "",
        }
        log = self.output / f"compare-service-{precision}.log"
        with service(log, **environ) as client:

            def side(**fields: Fields) -> Service:
                return Service(client, self.copies, fields)

            yield side

    def meet(self, contest: Contest, sides: Mapping[str, Side]) -> Meeting:
        """Run the sides in turn; record their times."""
        meeting = meet(contest, sides, self.pairs, self.step)
        self.meetings.append(meeting)
        self.record()
        return meeting

    def record(self) -> None:
        """Write compare.json."""
        raw = {"environment": describe(), "meetings": [each.raw() for each in self.meetings]}
        (self.output / "compare.json").write_text(json.dumps(raw, indent=1))
