"""The results of `load`, as tables and as sections of an HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from statistics import fmean

from bench.load.points import CLOSED, OPEN, Level, Point
from bench.load.stability import AGREEING_WINDOWS, MOST_DEVIATION
from bench.load.timeline import Span, busy_s
from bench.reporting import plots
from bench.reporting.page import Plot, Section
from bench.reporting.tables import Table

UNSTABLE = "unstable"
SCENARIO_WORDS = {
    "mixed": "objects, places and scenes: single, combined and streamed calls",
    "six": "all six tasks in one call",
}
FILE_WORDS = {"cached": "same file", "fresh": "new file"}
LOOP_WORDS = {CLOSED: "closed loop", OPEN: "open loop"}

_COLUMNS = (
    "load",
    "requests/s",
    "frames/s",
    "video s/s",
    "p50 ms",
    "p90 ms",
    "p95 ms",
    "p99 ms",
    "queue / decode / inference ms",
    "pool hits",
    "frames per batch",
    "devices",
    "errors",
    "windows",
)
_SUMMARY = ("sweep", "best at", "requests/s", "frames/s", "p50 ms", "p99 ms", "unloaded p50 ms", "")
_METHOD = (
    "Closed loop: each of N clients sends its next request when the last one is answered. "
    "Open loop: requests arrive as a Poisson process at a share of the best closed-loop rate, and "
    "latency counts from the time at which a request was due, so that requests delayed by a slow "
    "answer count in full.",
    "“Same file” requests the same frames each time, which are then in the service's pool; "
    "“new file” sends a copy with different bytes each time, so that everything is decoded.",
    f"A point is held until {AGREEING_WINDOWS} windows in a row agree within {MOST_DEVIATION:.0%} "
    "in throughput and in mean latency, the rule of NVIDIA's perf_analyzer; figures are of these. "
    f"Otherwise it is marked {UNSTABLE}, and figures are of the last "
    f"{AGREEING_WINDOWS} windows. Poisson arrivals vary by nature: the "
    "windows of an open loop are longer, so that each has enough requests to agree so closely, "
    "within a limit.",
    "Percentiles are by nearest rank, of successes; with fewer than 100, p99 is the largest. "
    "Frames count once per task. Queue, decode and inference are the "
    "service's own timings, summed over a request's batches, and overlap. A service on the same "
    "machine shares its processor with the client. A stand-in has a model's architecture without "
    "training: its speed is the model's, but its results mean nothing.",
)

Sweep = tuple[str, str, str]


def tables(
    points: Sequence[Point], left_out: Sequence[Level], words: Mapping[str, str]
) -> list[Table]:
    """One table per sweep; `words` describe the scenarios, `left_out` are the unmeasured levels."""
    measured = _sweeps(points)
    missing: dict[Sweep, list[str]] = {}
    for level in left_out:
        missing.setdefault(_sweep_of(level), []).append(level.name)
    made = []
    for sweep in {**measured, **missing}:
        scenario, files, loop = sweep
        own = measured.get(sweep, [])
        title = f"Load: {words[scenario]}; {FILE_WORDS[files]}, {LOOP_WORDS[loop]}"
        note = _note(own, missing.get(sweep, []))
        rows = [_row(point) for point in own]
        made.append(Table(f"load-{loop}-{scenario}-{files}", title, _COLUMNS, rows, note))
    return made


def sections(
    points: Sequence[Point],
    left_out: Sequence[Level],
    words: Mapping[str, str],
    timelines: Mapping[Level, Sequence[Span]],
    timeline_s: float,
    environment: Mapping[str, str],
) -> list[Section]:
    """A summary, a section per scenario, the method, the environment."""
    best = max(points, key=lambda point: point.requests_per_s)
    missing = "; ".join(f"{level.scenario}, {_words_of(level)}" for level in left_out)
    shown = [
        Section(
            f"At best {best.requests_per_s:.3g} requests/s: {_words_of(best.level)}",
            [f"Not measured, out of time: {missing}."] if missing else [],
            [_summary(points, words)],
        )
    ]
    for scenario, group in groupby(points, key=lambda point: point.level.scenario):
        own = list(group)
        not_done = [level for level in left_out if level.scenario == scenario]
        about = words[scenario]
        drawn = [_throughput_plot(own), _split_plot(own), *_ecdf_plots(own)]
        drawn += [
            _timeline_plot(level, spans, timeline_s)
            for level, spans in timelines.items()
            if level.scenario == scenario and spans
        ]
        heading = about[0].upper() + about[1:]
        shown.append(Section(heading, tables=tables(own, not_done, words), plots=drawn))
    shown.append(Section("Method", _METHOD))
    shown.append(Section("Environment", facts=environment))
    return shown


def _sweeps(points: Sequence[Point]) -> dict[Sweep, list[Point]]:
    """The points of each sweep, in the order of measurement."""
    found: dict[Sweep, list[Point]] = {}
    for point in points:
        found.setdefault(_sweep_of(point.level), []).append(point)
    return found


def _sweep_of(level: Level) -> Sweep:
    return level.scenario, level.files, level.loop


def _note(points: Sequence[Point], missing: Sequence[str]) -> str:
    notes = []
    if not all(point.stable for point in points):
        notes.append(f"{UNSTABLE}: the last windows differ by more than {MOST_DEVIATION:.0%}.")
    if missing:
        notes.append(f"Not measured, out of time: {', '.join(missing)}.")
    return " ".join(notes)


def _row(point: Point) -> tuple[str, ...]:
    hits = point.pool_hit_rate
    return (
        point.level.name,
        f"{point.requests_per_s:.2f}",
        f"{point.frames_per_s:.0f}",
        f"{point.video_s_per_s:.1f}",
        *(f"{value:.0f}" for value in point.percentiles_ms),
        " / ".join(f"{part_ms:.0f}" for part_ms in asdict(point.split).values()),
        "–" if hits is None else f"{hits:.0%}",
        _listed(point.batch_sizes, "{:.1f}"),
        _listed(point.device_shares, "{:.0%}"),
        _listed(point.errors, "{}") or "0",
        f"{len(point.windows)}, stable" if point.stable else UNSTABLE,
    )


def _listed(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in sorted(values.items()))


def _summary(points: Sequence[Point], words: Mapping[str, str]) -> Table:
    rows = []
    for (scenario, files, loop), own in _sweeps(points).items():
        best = max(own, key=lambda point: point.requests_per_s)
        p50, _, _, p99 = best.percentiles_ms
        rows.append(
            (
                f"{scenario}, {FILE_WORDS[files]}, {LOOP_WORDS[loop]}",
                best.level.name,
                f"{best.requests_per_s:.2f}",
                f"{best.frames_per_s:.0f}",
                f"{p50:.0f}",
                f"{p99:.0f}",
                f"{own[0].percentiles_ms[0]:.0f}",
                "stable" if best.stable else UNSTABLE,
            )
        )
    note = "; ".join(f"{name}: {words[name]}" for name in {p.level.scenario: 0 for p in points})
    return Table("load-summary", "Best point of each sweep", _SUMMARY, rows, note)


def _throughput_plot(points: Sequence[Point]) -> Plot:
    curves = [
        plots.Curve(
            f"{FILE_WORDS[files]}, {LOOP_WORDS[loop]}",
            [f"{point.level.load:.3g}" + ("/s" if loop == OPEN else "") for point in own],
            [point.requests_per_s for point in own],
            [point.percentiles_ms[0] for point in own],
            [point.percentiles_ms[-1] for point in own],
            [point.stable for point in own],
        )
        for (_, files, loop), own in _sweeps([p for p in points if p.latencies_ms]).items()
    ]
    best = max(points, key=lambda point: point.requests_per_s)
    return Plot(
        f"Throughput ends at {best.requests_per_s:.3g} requests/s: {_words_of(best.level)}",
        plots.latency_against_throughput(curves),
        "Further right is more throughput, lower is less latency. The numbers are the concurrent "
        "requests of a closed loop, or the arrivals per second of an open one. Where a line turns "
        "upwards, more load only adds waiting.",
    )


def _split_plot(points: Sequence[Point]) -> Plot:
    good = [point for point in points if point.latencies_ms]
    parts = {
        "queue": [point.split.queue_ms for point in good],
        "decode": [point.split.decode_ms for point in good],
        "inference": [point.split.inference_ms for point in good],
    }
    largest = max(parts, key=lambda name: sum(parts[name]))
    return Plot(
        f"Over all levels, the largest part is {largest}",
        plots.stacked_bars(
            [_words_of(point.level) for point in good],
            parts,
            "mean of a request, ms",
            [fmean(point.latencies_ms) for point in good],
        ),
        "Where a request's time went, by the service's timings; ticks show latency. Each part "
        "is summed over the request's batches, which wait and run in parallel: a bar may be longer "
        "than the latency. Hashing, indexing, waiting to decode, and HTTP are not included.",
    )


def _ecdf_plots(points: Sequence[Point]) -> list[Plot]:
    drawn = []
    for (_, files, loop), own in _sweeps(points).items():
        p50, *_, p99 = own[-1].percentiles_ms
        if not p50:
            continue
        drawn.append(
            Plot(
                f"{FILE_WORDS[files].capitalize()}, {LOOP_WORDS[loop]}: at {own[-1].level.name}, "
                f"p99 is {p99 / p50:.1f} times the median",
                plots.ecdf({p.level.name: p.latencies_ms for p in own}, "latency, ms"),
                "Share of requests answered within a time. A steep line: steady latency; a tail "
                "to the right shows what some clients wait for.",
            )
        )
    return drawn


def _timeline_plot(level: Level, spans: Sequence[Span], seconds: float) -> Plot:
    shares = {
        process: busy_s([span for span in spans if span.process == process]) / seconds
        for process in {span.process for span in spans} - {"front"}
    }
    busiest = max(shares, key=lambda process: shares[process], default="nothing")
    return Plot(
        f"{_words_of(level).capitalize()}: {busiest} is busy {shares.get(busiest, 0):.0%} of the "
        f"first {seconds:g} s",
        plots.gantt(spans, seconds),
        "What each process did, by the service's own log. The front has a thin line per request in "
        "flight; a decoder or worker does one thing at a time.",
    )


def _words_of(level: Level) -> str:
    return f"{FILE_WORDS[level.files]}, {level.name}"
