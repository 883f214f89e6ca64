"""`python -m server`: serve on HOST:PORT until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import sys

import uvicorn

from server.app import create_app
from server.children import child_specs
from server.http.receive_deadline import ReceiveDeadlineProtocol

GRACE_S = 30


def main(worker_entry: str = child_specs.WORKER) -> None:
    """Run the front process; exit with code 0 on SIGTERM, after in-flight requests."""
    # uvicorn raises the signal again after its shutdown; these handlers then exit with code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    app = create_app(worker_entry=worker_entry)
    settings = app.state.service.settings
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http=ReceiveDeadlineProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )


if __name__ == "__main__":
    main()
