"""Makes the measuring process's OpenMP threads wait as the service's do."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Make OpenMP threads sleep while they wait, unless configured; call before importing torch.

    The service's workers do so. Threads that spin lose a time slice at every barrier as soon as
    anything else runs on their core: ResNet-18 took 20 times as long on two busy cores. If only
    the libraries paid that, the comparison would be unfair.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
