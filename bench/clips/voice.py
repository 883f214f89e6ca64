"""Speech of known words, from the eSpeak NG synthesiser: `python -m bench.clips.voice`."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import numpy.typing as npt

from bench.clips.sound import RATE, Sound

ESPEAK_RATE = 22_050
PAUSE_S = 0.6  # after each sentence
DEADLINE_S = 60
_SYNCHRONOUS, _BY_CHARACTER, _UTF8, _RATE = 2, 1, 1, 1
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def say(text: str, voice: str = "en-us", words_per_minute: int = 175) -> npt.NDArray[np.int16]:
    """English speech as (samples,) int16 at ESPEAK_RATE, with a pause after each sentence.

    The same text gives the same samples. It is spoken in a process of its own, since eSpeak's
    speech depends on what the process said before.
    """
    command = [sys.executable, "-m", __name__, text, voice, str(words_per_minute)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=DEADLINE_S)
    return np.frombuffer(said.stdout, np.int16)


def resampled(said: npt.NDArray[np.int16]) -> Sound:
    """Samples of `say` as mono float32 at RATE."""
    times = np.arange(int(len(said) * RATE / ESPEAK_RATE)) * ESPEAK_RATE / RATE
    wave = said.astype(np.float32) / 32_768
    return np.interp(times, np.arange(len(said)), wave).astype(np.float32)


def _synthesise(text: str, voice: str, words_per_minute: int) -> bytes:
    import espeakng_loader

    blocks: list[bytes] = []

    def keep(samples: ctypes._Pointer[ctypes.c_short], count: int, _: int | None) -> int:
        if samples and count:
            blocks.append(ctypes.string_at(samples, 2 * count))
        return 0

    pause = bytes(2 * round(PAUSE_S * ESPEAK_RATE))
    espeak, callback = ctypes.CDLL(espeakng_loader.get_library_path()), _Callback(keep)
    data = espeakng_loader.get_data_path().encode()
    if espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, 0) != ESPEAK_RATE:
        raise OSError("eSpeak NG cannot be set up")
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
    espeak.espeak_SetVoiceByName(voice.encode())
    espeak.espeak_SetParameter(_RATE, words_per_minute, 0)
    espeak.espeak_SetSynthCallback(callback)
    for sentence in text.split(". "):
        said = sentence.encode() + b"\0"
        if espeak.espeak_Synth(said, len(said), 0, _BY_CHARACTER, 0, _UTF8, None, None):
            raise OSError("eSpeak NG cannot speak the text")
        blocks.append(pause)
    return b"".join(blocks)


if __name__ == "__main__":
    _, said_text, said_by, rate = sys.argv
    sys.stdout.buffer.write(_synthesise(said_text, said_by, int(rate)))
