"""Speech of known words, repeated and interrupted as a test needs it."""

from __future__ import annotations

import numpy as np

from bench.clips.sound import RATE, Sound
from bench.clips.voice import resampled, say


def speech(text: str, seconds: float, silences: tuple[tuple[float, float], ...] = ()) -> Sound:
    """The text, repeated up to `seconds`: mono float32 at `bench`'s RATE.

    Nothing is heard within the silences (start, end) in s; the text goes on after them.
    """
    heard = np.ones(round(seconds * RATE), bool)
    for start_s, end_s in silences:
        heard[round(start_s * RATE) : round(end_s * RATE)] = False
    sound = np.zeros(len(heard), np.float32)
    sound[heard] = np.resize(resampled(say(text)), int(heard.sum()))
    return sound
