"""Figures: each function maps plain numbers to a matplotlib figure; `svg` embeds it in a page.

The colours are those of Okabe and Ito, distinguishable for colour-blind people.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from bench.load.timeline import Span, busy_s, lanes

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY, YELLOW, GREY = "#CC79A7", "#56B4E9", "#B8A800", "#8A8F98"
CYCLE = (BLUE, RED, GREEN, PINK, ORANGE, SKY, YELLOW)
ACTIVITIES = {
    "request": GREY,
    "objects": BLUE,
    "faces": SKY,
    "places": GREEN,
    "scenes": ORANGE,
    "ocr": RED,
    "transcribe": PINK,
    "decode": YELLOW,
    "decodeaudio": "#7A6FF0",
    "probe": "#4B5563",
    "load": "#A0522D",
}
# The colour of all text and axes; `svg` replaces it with the page's own, dark or light.
INK = "#101112"
WIDTH_IN = 8.4

_DASHED = (0, (4, 2))
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Curve:
    """One sweep: its levels, each with its throughput and latencies."""

    label: str
    levels: Sequence[str]
    requests_per_s: Sequence[float]
    p50_ms: Sequence[float]
    p99_ms: Sequence[float]
    stable: Sequence[bool]


def svg(figure: Figure) -> str:
    """The figure as an SVG element whose ink is `currentColor`."""
    written = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    text = written.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def latency_against_throughput(curves: Sequence[Curve]) -> Figure:
    """Median and 99th percentile of latency against requests per second, one line per sweep."""
    figure, axes = _axes(4.4)
    for place, (curve, colour) in enumerate(zip(curves, CYCLE, strict=False)):
        for values, line, face in ((curve.p50_ms, "-", colour), (curve.p99_ms, _DASHED, "w")):
            axes.plot(curve.requests_per_s, values, ls=line, color=colour, lw=1.6, zorder=2)
            for x, y, is_stable in zip(curve.requests_per_s, values, curve.stable, strict=True):
                _marker(axes, x, y, colour, face, is_stable)
        _label_levels(axes, curve, colour, above=place % 2 == 1)
    axes.set_xlabel("throughput, requests/s")
    axes.set_ylabel("latency, ms")
    axes.set_yscale("log")
    _label_logarithmic(axes.yaxis)
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    unstable = not all(all(curve.stable) for curve in curves)
    _legend(axes, _throughput_legend(curves, unstable))
    return figure


def scaling(devices: Sequence[int], worth: Sequence[float]) -> Figure:
    """Effective devices against the number of devices, next to the ideal."""
    figure, axes = _axes(3.6)
    axes.plot(devices, devices, ls=_DASHED, color=GREY, lw=1.4, label="ideal")
    axes.plot(devices, worth, color=BLUE, lw=1.8, marker="o", label="measured")
    axes.set_xticks(devices)
    axes.set_xlabel("devices")
    axes.set_ylabel("effective devices")
    axes.set_ylim(bottom=0)
    _legend(axes, axes.get_legend_handles_labels()[0])
    return figure


def stacked_bars(
    labels: Sequence[str], parts: Mapping[str, Sequence[float]], unit: str, marks: Sequence[float]
) -> Figure:
    """A horizontal stacked bar per label; `marks` are ticks across the bars: latencies."""
    figure, axes = _axes(1.3 + 0.36 * len(labels))
    rows = np.arange(len(labels))
    left = np.zeros(len(labels))
    for (name, values), colour in zip(parts.items(), (GREY, ORANGE, BLUE, GREEN), strict=False):
        axes.barh(rows, values, 0.62, left, color=colour, label=name)
        left += np.asarray(values)
    axes.plot(marks, rows, ls="none", marker="|", ms=15, mew=2, color=INK, label="mean latency")
    axes.set_yticks(rows, labels)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(unit)
    handles = axes.get_legend_handles_labels()[0]
    _legend(axes, [*handles[1:], handles[0]])
    return figure


def ecdf(curves: Mapping[str, Sequence[float]], unit: str) -> Figure:
    """Empirical distribution function, one step line per name; names are by rising load."""
    figure, axes = _axes(3.8)
    colours = mpl.colormaps["viridis"](np.linspace(0.2, 0.85, max(len(curves), 2)))
    for (name, values), colour in zip(curves.items(), colours, strict=False):
        if values:
            axes.ecdf(values, color=colour, lw=1.8, label=f"{name} (n = {len(values)})")
    axes.set_xlabel(unit)
    axes.set_xscale("log")
    _label_logarithmic(axes.xaxis)
    axes.set_ylabel("share of requests, %")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:.0f}"))
    _legend(axes)
    return figure


def gantt(spans: Sequence[Span], seconds: float) -> Figure:
    """What each process did over time, one row per process and one colour per activity.

    Overlapping spans of one process share its row, each in its own lane.
    """
    processes = sorted({span.process for span in spans}, key=_front_first)
    figure, axes = _axes(1.2 + 0.5 * len(processes))
    for row, process in enumerate(processes):
        own = [span for span in spans if span.process == process]
        placed = list(lanes(own))
        height = 0.78 / (1 + max(lane for lane, _ in placed))
        for lane, span in placed:
            colour = ACTIVITIES.get(span.activity, RED)
            # Slightly shorter than measured, to separate it from the next one.
            width_s = max(span.end_s - span.start_s - 0.002 * seconds, 0.001 * seconds)
            bounds = [(span.start_s, width_s)]
            axes.broken_barh(bounds, (row - 0.39 + lane * height, height * 0.86), color=colour)
        share = busy_s(own) / seconds
        axes.text(1.01, row, f"{share:.0%} busy", transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(processes)), processes)
    axes.set_ylim(len(processes) - 0.5, -0.5)
    axes.set_xlim(0, seconds)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time, s")
    found = sorted({span.activity for span in spans}, key=_activity_order)
    _legend(axes, [Patch(color=ACTIVITIES.get(name, RED), label=name) for name in found])
    return figure


def _axes(height_in: float) -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure((WIDTH_IN, height_in), layout="constrained")
        return figure, figure.add_subplot()


def _legend(axes: Axes, handles: Sequence[Artist] | None = None) -> None:
    """Draw the legend in a row above the axes, where it hides no data."""
    shown = axes.get_legend_handles_labels()[0] if handles is None else handles
    with mpl.rc_context(_STYLE):
        axes.legend(
            handles=shown,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=min(len(shown), 5),
            borderaxespad=0.4,
            handlelength=1.8,
        )


def _marker(axes: Axes, x: float, y: float, colour: str, face: str, is_stable: bool) -> None:
    axes.plot(x, y, marker="o", ms=6, mfc=face, mec=colour, mew=1.4, zorder=3)
    if not is_stable:
        axes.plot(x, y, marker="x", ms=9, color=INK, mew=0.9, zorder=4)


def _label_levels(axes: Axes, curve: Curve, colour: str, above: bool) -> None:
    """Label the medians, above or below the line, so that two sweeps do not collide."""
    offset, align = ((-6, 7), "right") if above else ((6, -13), "left")
    for level, x, y in zip(curve.levels, curve.requests_per_s, curve.p50_ms, strict=True):
        axes.annotate(
            level, (x, y), offset, textcoords="offset points", ha=align, size=8.5, color=colour
        )


def _throughput_legend(curves: Sequence[Curve], unstable: bool) -> list[Artist]:
    handles: list[Artist] = [
        Patch(color=colour, label=curve.label) for curve, colour in zip(curves, CYCLE, strict=False)
    ]
    quantile = partial(Line2D, [], [], color=INK, lw=1.4, marker="o", ms=5)
    handles.append(quantile(label="p50"))
    handles.append(quantile(label="p99", ls=_DASHED, mfc="w"))
    if unstable:
        handles.append(Line2D([], [], ls="none", marker="x", ms=8, color=INK, label="unstable"))
    return handles


def _label_logarithmic(axis: Axis) -> None:
    """Label the powers of ten, and 2, 3, 5 and 7 between them, with plain numbers."""

    def label(value: float, _: int) -> str:
        return f"{value:g}" if f"{value:e}"[0] in "12357" else ""

    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_formatter(FuncFormatter(label))
    axis.set_tick_params(which="both", length=3.5)


def _front_first(process: str) -> tuple[int, str]:
    kinds = ("front", "decoder", "worker", "cpu-worker")
    place = next((i for i, kind in enumerate(kinds) if process.startswith(kind)), len(kinds))
    return place, process


def _activity_order(activity: str) -> int:
    order = list(ACTIVITIES)
    return order.index(activity) if activity in order else len(order)
