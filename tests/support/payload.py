"""The part of a response that must be the same every time."""

from __future__ import annotations

from typing import Any

VARYING = ("run_id", "timings_ms", "provenance", "task_id")


def payload(response: dict[str, Any]) -> dict[str, Any]:
    """The fields that depend on the request and the video only."""
    return {name: value for name, value in response.items() if name not in VARYING}
