"""Seeded audio that resembles speech: formant-synthesised syllables, words and pauses."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float32]

RATE = 48_000
# The first three formants of five vowels in Hz, from Peterson and Barney (1952).
_VOWELS = np.array(
    [(730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240)]
)
_BANDWIDTHS = np.array([90, 120, 170])
_LEVEL = 0.3


def speech(seconds: float, seed: int, silences: Sequence[tuple[float, float]] = ()) -> Sound:
    """Mono samples from -1 to 1 at RATE; all zero within the silences (start, end) in s."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE), np.float32)
    now, words_left = 0.2, 5
    while now < seconds - 1:
        for _ in range(rng.integers(1, 4)):
            syllable = _syllable(rng, pitch_hz=105 + 9 * words_left)
            start = round(now * RATE)
            sound[start : start + len(syllable)] += syllable[: len(sound) - start]
            now += len(syllable) / RATE
        words_left -= 1
        now += rng.uniform(0.04, 0.1) if words_left else rng.uniform(0.4, 0.7)
        words_left = words_left or int(rng.integers(3, 8))
    for start_s, end_s in silences:
        sound[round(start_s * RATE) : round(end_s * RATE)] = 0
    return sound


def silence(seconds: float) -> Sound:
    """All-zero samples at RATE."""
    return np.zeros(round(seconds * RATE), np.float32)


def _syllable(rng: np.random.Generator, pitch_hz: float) -> Sound:
    """A consonant's noise, in half of the cases, and a vowel that glides to another."""
    vowel = _vowel(rng, pitch_hz * rng.uniform(0.93, 1.07), rng.uniform(0.11, 0.22))
    if rng.uniform() < 0.5:
        return vowel
    hiss = np.diff(rng.normal(0, 0.03, round(rng.uniform(0.04, 0.08) * RATE)))
    return np.concatenate([(hiss * np.hanning(len(hiss))).astype(np.float32), vowel])


def _vowel(rng: np.random.Generator, pitch_hz: float, seconds: float) -> Sound:
    """A voice's harmonics up to 4 kHz, weighted by the resonances of the vocal tract."""
    samples = round(seconds * RATE)
    glide = np.linspace(0, 1, samples, dtype=np.float32)[:, None]
    first, last = _VOWELS[rng.choice(len(_VOWELS), 2)]
    formants = first + glide * (last - first)
    pitch = pitch_hz * (1.05 - 0.12 * glide[:, 0])
    phase = np.cumsum(2 * np.pi * pitch / RATE)
    voice = np.zeros(samples)
    for harmonic in range(1, int(4000 / pitch_hz)):
        distance = (harmonic * pitch[:, None] - formants) / (_BANDWIDTHS / 2)
        strength = (np.array([1.0, 0.6, 0.3]) / (1 + distance**2)).sum(axis=1)
        voice += strength * np.sin(harmonic * phase)
    rise = np.minimum(1, np.minimum(glide, 1 - glide)[:, 0] * 6)
    return np.asarray(voice * rise * (_LEVEL / np.abs(voice).max()), np.float32)
