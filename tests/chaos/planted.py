"""`python -m planted`: the service with a fault in its decoder, to show that the suite finds it.

CHAOS_PLANT says what happens after a file whose frames are not as wide as WIDTH: the decoder
`raises` an exception that nobody expects, or it `spoils` all later frames.
"""

from __future__ import annotations

import os
from typing import Any

from ipc.channel import Endpoint
from ipc.config import DecoderConfig

WIDTH = 480


def decoder(endpoint: Endpoint[Any], config: DecoderConfig) -> None:
    """A decoder process with a fault in the writing of frames."""
    from server.decoding import decoder_process
    from server.decoding.upright_rgb import AvPicture

    right_write = AvPicture.write
    raises = os.environ["CHAOS_PLANT"] == "raises"
    spoilt = False

    def write(picture: AvPicture, out: Any) -> None:
        nonlocal spoilt
        spoilt = spoilt or picture._frame.width != WIDTH
        if spoilt and raises:
            spoilt = False
            raise KeyError("a planted fault")
        right_write(picture, out)
        if spoilt:
            out[:] = 0

    AvPicture.write = write  # type: ignore[method-assign]
    decoder_process.main(endpoint, config)


if __name__ == "__main__":
    from server.__main__ import main
    from server.children import child_specs

    child_specs.DECODER = "planted:decoder"
    main("fake_tasks:main")
