"""Where tests find clips: generated ones, each made once, and real ones where there are any.

Generated clips are in `.cache/test-media`, in a folder for each version of their source.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import av
from clip_table import MAKERS

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("EIOKU_TEST_DATA", ROOT.parent / "shared" / "data"))
CACHE = ROOT / ".cache" / "test-media"


def real(*names: str) -> list[str]:
    """Those of the real files' names that are in DATA: more cases for a test, or none."""
    return [name for name in names if (DATA / name).is_file()]


class ClipLibrary:
    """The clips' files, each made when it is first asked for."""

    def __init__(self) -> None:
        self.folder = CACHE / _version()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.roots = f"{self.folder}:{DATA}" if DATA.is_dir() else str(self.folder)

    def path(self, name: str) -> Path:
        """The file of a generated clip, else of a real one."""
        if name not in MAKERS:
            return DATA / name
        path = self.folder / name
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                unfinished = Path(folder) / name
                MAKERS[name](unfinished, self.path)
                unfinished.replace(path)
        return path


def _version() -> str:
    """A digest of all that decides what the clips are."""
    support = Path(__file__).parent
    sources = [support / f"{name}.py" for name in ("clip_table", "damage", "films", "spoken")]
    sources += sorted((ROOT / "bench" / "clips").glob("*.py"))
    digest = hashlib.sha256(av.__version__.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
