"""Which children a deployment has, and what each is given."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ipc.config import WorkerConfig
from server.children.child_specs import workers
from server.settings import Settings, from_environ
from server.tasks.registry import installed


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"MODEL_CACHE_DIR": str(tmp_path), "DEVICES": "cpu"}
    return msgspec.structs.replace(from_environ(environ, tuple(installed())), cores=96)


def threads(settings: Settings) -> dict[str, int]:
    configs = {spec.name: spec.config for spec in workers(settings, "arena")}
    return {name: c.threads for name, c in configs.items() if isinstance(c, WorkerConfig)}


def test_cpu_workers_have_all_cores_and_cuda_workers_share_them(settings: Settings) -> None:
    on_cuda = msgspec.structs.replace(settings, devices=tuple(f"cuda:{i}" for i in range(8)))
    assert threads(on_cuda)["worker-7"] == 12
    on_cpu = msgspec.structs.replace(settings, devices=("cpu", "cpu"))
    assert threads(on_cpu)["worker-1"] == 96
    many = msgspec.structs.replace(on_cuda, cores=4)
    assert threads(many)["worker-0"] == 1
