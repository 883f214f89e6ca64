"""`python -m server`: serve on HOST:PORT until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from types import FrameType
from typing import NoReturn

import uvicorn

from server.app import create_app
from server.children import child_specs
from server.http.receive_deadline import ReceiveDeadlineProtocol
from server.service import Service

GRACE_S = 30
LAST_ANSWERS_S = 2


class Front(uvicorn.Server):
    """Finishes in-flight requests after the first SIGTERM or SIGINT; a second one cuts them off."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.exit_code = 0
        self._service = service
        self._serving: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal; afterwards no child runs, and the arena is unlinked."""
        self._serving = asyncio.current_task()
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:  # by a second signal
            await self._cut_off()
            self._service.kill()
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by uvicorn for each signal."""
        if self.should_exit and self._serving is not None:
            self.exit_code = 128 + sig
            self._serving.get_loop().call_soon_threadsafe(self._serving.cancel)
        super().handle_exit(sig, frame)

    async def _cut_off(self) -> None:
        """Let in-flight requests answer that the service stops."""
        for task in self.server_state.tasks:
            task.cancel()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=LAST_ANSWERS_S)


def main(worker_entry: str = child_specs.WORKER) -> None:
    """Run the front process; exit with code 0 on SIGTERM, after in-flight requests."""
    # uvicorn raises the signal again after its shutdown.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _exit(0))
    app = create_app(worker_entry=worker_entry)
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        host=service.settings.host,
        port=service.settings.port,
        http=ReceiveDeadlineProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    front = Front(config, service)
    front.run()
    _exit(front.exit_code)


def _exit(code: int) -> NoReturn:
    """End the process; threads that hash files may hang in a read, and are not awaited."""
    gc.collect()  # unlinks the queues' semaphores
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main()
