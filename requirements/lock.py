"""`make lock`: pin every dependency, with hashes, in the text files beside this one.

The versions that are pinned stay; `--upgrade` replaces them with the newest ones.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
PYTHON = "3.10"  # the oldest one; the pins hold for every later one, too

# What differs between the builds of torch for CUDA and for the CPU.
TORCH = re.compile(r"(torch|torchvision|triton|cuda-.*|nvidia-(?!ml-py).*)$")

HEADERS = {
    "service.txt": "What the service needs, without torch.",
    "torch.txt": "torch and torchvision as the package index has them, and the CUDA libraries.",
    "rapidocr.txt": "What the extra `rapidocr` needs beside that.",
    "dev.txt": "What the benchmarks and the tests need beside that.",
    "build.txt": "What builds source distributions.",
    "uv.txt": "The installer.",
}


def main() -> None:
    """Write the six files."""
    upgrade = sys.argv[1:] == ["--upgrade"]
    everything = _compile("pyproject.toml", "--extra", "dev", upgrade=upgrade)
    for_service = _names(_compile("pyproject.toml", pins=everything))
    for_rapidocr = _names(_compile("pyproject.toml", "--extra", "rapidocr", pins=everything))
    files: dict[str, list[str]] = {file: [] for file in HEADERS}
    for entry in _entries(everything):
        name = _name(entry)
        if name in for_service:
            file = "torch.txt" if TORCH.match(name) else "service.txt"
        else:
            file = "rapidocr.txt" if name in for_rapidocr else "dev.txt"
        files[file].append(entry)
    files["build.txt"] = _entries(_compile("-", pins=everything, stdin="setuptools"))
    files["uv.txt"] = _entries(_compile("-", pins=_pins("uv.txt"), upgrade=upgrade, stdin="uv"))
    for file, entries in files.items():
        header = f"# {HEADERS[file]} Written by `make lock`.\n"
        (FOLDER / file).write_text(header + "".join(entries))


def _compile(
    source: str, *options: str, pins: str = "", upgrade: bool = False, stdin: str = ""
) -> str:
    """The pins, with hashes, of what `source` needs; those in `pins` are kept."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pins.txt"
        output.write_text(pins or "".join(_pins(file) for file in HEADERS))
        command = ["uv", "pip", "compile", source, *options, "--output-file", str(output)]
        command += ["--universal", "--python-version", PYTHON, "--generate-hashes"]
        command += ["--no-header", "--no-annotate", "--quiet", *(["--upgrade"] if upgrade else [])]
        subprocess.run(command, check=True, input=stdin, text=True, cwd=ROOT, timeout=600)
        return output.read_text()


def _pins(file: str) -> str:
    path = FOLDER / file
    return path.read_text() if path.exists() else ""


def _entries(pins: str) -> list[str]:
    """One string for each pin: its line, and the indented lines with its hashes."""
    return re.findall(r"^[a-z0-9].*\n(?: .*\n)*", pins, re.MULTILINE)


def _name(entry: str) -> str:
    return entry.partition("==")[0]


def _names(pins: str) -> set[str]:
    return {_name(entry) for entry in _entries(pins)}


if __name__ == "__main__":
    main()
