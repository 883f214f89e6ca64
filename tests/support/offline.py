"""Keeps the tests, and every process that they start, from the network: only loopback is left."""

from __future__ import annotations

import os

NOBODY = "http://127.0.0.1:9"  # a proxy that refuses every connection: nobody listens there
LOOPBACK = "127.0.0.1,localhost,::1"
ONLINE = dict(os.environ)  # as it was before
QUIET_LIBRARIES = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


def go_offline() -> None:
    """Set the environment that HTTP libraries and child processes read."""
    for name, value in (("http_proxy", NOBODY), ("https_proxy", NOBODY), ("no_proxy", LOOPBACK)):
        os.environ[name] = os.environ[name.upper()] = value
    os.environ.pop("all_proxy", None)
    os.environ.pop("ALL_PROXY", None)
    os.environ.update(QUIET_LIBRARIES)
    os.environ["WEIGHTS_MIRRORS"] = "off"  # the tests run with stand-ins
