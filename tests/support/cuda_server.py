"""`python -m cuda_server`: the service with the CUDA driver that the environment describes.

`EIOKU_TEST_DEVICES` is a JSON object of ids and names, by default empty. `EIOKU_TEST_DRIVER_ERROR`
is what `cuInit` returns. `EIOKU_TEST_WORKER` replaces the real workers.
"""

import json
import os

from fake_driver import FakeDriver

from server import cuda_devices
from server.__main__ import main
from server.children import child_specs

if __name__ == "__main__":
    driver = FakeDriver(
        json.loads(os.environ.get("EIOKU_TEST_DEVICES", "{}")),
        {"cuInit": int(os.environ.get("EIOKU_TEST_DRIVER_ERROR", "0"))},
    )
    cuda_devices._library = lambda: driver  # type: ignore[assignment]
    main(os.environ.get("EIOKU_TEST_WORKER", child_specs.WORKER))
