"""The service against LitServe, which decodes in its batcher or gets decoded frames."""

from __future__ import annotations

from rich.console import Console

from bench.compare import media
from bench.compare.environments import NotInstalled, pinned
from bench.compare.four_tasks import FOUR, SERVICE
from bench.compare.litserve.side import REQUIREMENTS, LitServe, LitServeOfFrames, litserve
from bench.compare.rounds import Contest, Side
from bench.compare.rows import COLUMNS, Pairing, rows
from bench.compare.setup import Setup
from bench.reporting.tables import Table

AT_ONCE = 4
VIDEOS, FRAMES = "LitServe, given videos", "LitServe, given decoded frames"
NOTE = (
    "LitServe: one worker per model, up to 4 requests per batch. Given videos, each request "
    "decodes with OpenCV within its worker; given frames, the client decodes once and sends 8 "
    "frames per request in shared memory, and only scenes get the video."
)


def run(setup: Setup) -> list[Table]:
    """Four concurrent requests for objects; the four tasks of one video."""
    setup.step("LitServe: packages and start")
    clip = media.generated(setup.clips, setup.seconds)
    objects = {"objects": FOUR["objects"]}
    shown = []
    try:
        with (
            litserve(setup.output / "litserve", setup.models) as client,
            setup.service() as side,
        ):
            ours, videos, frames = side(), LitServe(client), LitServeOfFrames(client)
            at_once: dict[str, Side] = {VIDEOS: videos, SERVICE: ours}
            what = f"objects, {AT_ONCE} concurrent requests"
            meeting = setup.meet(Contest(what, objects, clip, AT_ONCE), at_once)
            shown += rows(meeting, [Pairing(VIDEOS, SERVICE)])
            meeting = setup.meet(Contest("four tasks", FOUR, clip), {**at_once, FRAMES: frames})
            shown += rows(meeting, [Pairing(VIDEOS, SERVICE), Pairing(FRAMES, SERVICE)])
    except NotInstalled as error:
        Console().print(f"LitServe is skipped: {error}")
        return []
    note = f"{NOTE} {pinned(REQUIREMENTS, 'litserve')}."
    return [Table("compare-litserve", "Compared with LitServe", COLUMNS, shown, note)]
