"""How the threads of the measuring process wait for each other: as those of the service do."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let OpenMP's threads sleep where they wait, if nobody has chosen; before torch is imported.

    The service's workers do. Threads that spin lose a time slice at every barrier as soon as
    anything else runs on their core: a ResNet-18 took 20 times as long on two busy cores. If only
    the libraries had to pay that, the service would win for no merit of its own.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
