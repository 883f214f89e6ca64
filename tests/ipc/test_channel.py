"""The queues of a child, and the process that remembers their semaphores."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, signal, warnings
from multiprocessing import resource_tracker
from ipc.channel import Channel

warnings.simplefilter("ignore")  # one says that the tracker is started again
channels = [Channel(2), Channel(2)]
tracker = resource_tracker._resource_tracker._pid
os.kill(tracker, signal.SIGKILL)
os.waitid(os.P_PID, tracker, os.WEXITED | os.WNOWAIT)
for channel in channels:
    channel.close()
"""


def test_channels_end_silently_after_the_death_of_the_resource_tracker() -> None:
    """A new tracker does not know their semaphores: it would print a traceback for each."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stderr == ""
