"""`python -m server`: serve on HOST:PORT until told to stop."""

from __future__ import annotations

import signal
import sys

import uvicorn

from server.app import create_app
from server.children import child_specs

GRACE_S = 30


def main(worker_entry: str = child_specs.WORKER) -> None:
    """Run the one front process; exits 0 when asked to stop, after in-flight requests."""
    # uvicorn raises the signal again once it has shut down; that is how this process ends well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    app = create_app(worker_entry=worker_entry)
    settings = app.state.service.settings
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )


if __name__ == "__main__":
    main()
