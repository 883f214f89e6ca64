"""Reads streams of events."""

from __future__ import annotations

import json
from typing import Any

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
FORMS = (NDJSON, SSE)


def read_events(content: str, form: str) -> list[dict[str, Any]]:
    """The events of a whole stream, which is checked to have the form."""
    if form == NDJSON:
        return [json.loads(line) for line in content.splitlines()]
    events = []
    assert content.endswith("\n\n")
    for block in content.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['event']}"
        events.append(event)
    return events
