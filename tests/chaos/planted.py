"""`python -m planted`: the service with a fault in its decoder, to show that the suite finds it.

CHAOS_PLANT says what happens after a file whose frames are not as wide as WIDTH: the decoder
`raises` an exception that nobody expects, or it `spoils` all later frames. One that `leaks memory`
or `leaks files` does so with each frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ipc.channel import Endpoint
from ipc.config import DecoderConfig

WIDTH = 480
LEAKS: dict[str, Callable[[], object]] = {
    "leaks memory": lambda: b"x" * LEAK_BYTES,
    "leaks files": lambda: os.open(os.devnull, os.O_RDONLY),
}
LEAK_BYTES = 1 << 17

Write = Callable[[Any, Any], None]


def decoder(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    """A decoder process with a fault in the writing of frames."""
    from server.decoding import decoder_process
    from server.decoding.upright_rgb import AvPicture

    right_write = AvPicture.write
    plant = os.environ["CHAOS_PLANT"]
    write = leaking(right_write, plant) if plant in LEAKS else failing(right_write, plant)
    AvPicture.write = write  # type: ignore[method-assign]
    decoder_process.main(endpoint, config)


def failing(right_write: Write, plant: str) -> Write:
    """Raises, or spoils the frames, after a file of another width."""
    spoilt = False

    def write(picture: Any, out: Any) -> None:
        nonlocal spoilt
        spoilt = spoilt or picture._frame.width != WIDTH
        if spoilt and plant == "raises":
            spoilt = False
            raise KeyError("a planted fault")
        right_write(picture, out)
        if spoilt:
            out[:] = 0

    return write


def leaking(right_write: Write, plant: str) -> Write:
    """Keeps memory, or an open file, for each frame."""
    kept: list[object] = []

    def write(picture: Any, out: Any) -> None:
        kept.append(LEAKS[plant]())
        right_write(picture, out)

    return write


if __name__ == "__main__":
    from server.__main__ import main
    from server.children import child_specs

    child_specs.DECODER = "planted:decoder"
    main("fake_tasks:main")
