"""JSON logs: one object per line, with the id of the request that caused it."""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar

import msgspec

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record and its `extra` fields as one JSON object."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON, with the exception's traceback as a string."""
        event: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "process": self._process_name,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            event["request_id"] = current
        event.update((k, v) for k, v in vars(record).items() if k not in _STANDARD)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return self._encoder.encode(event).decode()


def configure(process_name: str, level: str) -> None:
    """Write all log records of this process to standard error as JSON."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonFormatter(process_name))
    logging.basicConfig(level=level, handlers=[output], force=True)
    logging.captureWarnings(True)
