"""Which workers a deployment has, and which of them may run a task."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ipc.config import DecoderConfig, WorkerConfig
from server.children.child_specs import decoders, eligible_workers, workers
from server.settings import Settings, from_environ
from server.tasks.registry import installed
from server.tasks.task import RunsOn


def settings(*devices: str) -> Settings:
    """The defaults, with devices that need not be there."""
    normal = from_environ({"DEVICES": "cpu", "FRAME_POOL_MB": "64"}, tuple(installed()))
    ids = {name: f"GPU-{name}" for name in devices if name != "cpu"}
    return msgspec.structs.replace(normal, devices=devices, cuda_ids=ids, gpu_concurrency=3)


def may_run(task: str, devices: tuple[str, ...], **fields: Any) -> set[str]:
    """The workers of DEVICES that may run a request with these fields."""
    known = installed()[task]
    options = msgspec.convert(fields, known.options)
    return set(eligible_workers(known.runs_on(options), settings(*devices)))


@pytest.mark.parametrize(
    ("devices", "on_gpu", "without_gpu"),
    [
        (("cpu",), {"worker-0"}, {"worker-0"}),
        (("cpu", "cpu"), {"worker-0", "worker-1"}, {"worker-0", "worker-1"}),
        (("cuda:0",), {"worker-0"}, {"cpu-model-worker"}),
        (("cuda:0", "cuda:1"), {"worker-0", "worker-1"}, {"cpu-model-worker"}),
        (("cuda:0", "cpu", "cuda:1"), {"worker-0", "worker-1", "worker-2"}, {"worker-1"}),
    ],
)
def test_ocr_without_a_gpu_has_the_workers_on_a_cpu(
    devices: tuple[str, ...], on_gpu: set[str], without_gpu: set[str]
) -> None:
    assert may_run("ocr", devices) == may_run("ocr", devices, use_gpu=True) == on_gpu
    assert may_run("ocr", devices, use_gpu=False) == without_gpu
    assert may_run("ocr", devices, model_name="rapidocr") == without_gpu


@pytest.mark.parametrize("task", ["objects", "faces", "places", "transcribe"])
def test_the_other_models_run_on_every_device(task: str) -> None:
    assert may_run(task, ("cuda:0", "cpu")) == {"worker-0", "worker-1"}


def test_scenes_runs_on_the_cpu_worker() -> None:
    assert may_run("scenes", ("cuda:0", "cpu")) == {"cpu-worker"}


def test_models_on_the_cpu_have_a_worker_of_their_own_if_no_device_is_a_cpu() -> None:
    on_cuda = {spec.name: spec for spec in workers(settings("cuda:0"), "arena")}
    assert set(on_cuda) == {"worker-0", "cpu-worker", "cpu-model-worker"}
    assert on_cuda["cpu-model-worker"].device == "cpu"
    assert set(eligible_workers(RunsOn.CPU, settings("cuda:0"))) == {"cpu-model-worker"}
    assert {spec.name for spec in workers(settings("cpu"), "arena")} == {"worker-0", "cpu-worker"}


def test_every_eligible_worker_is_started_on_its_device() -> None:
    mixed = settings("cuda:0", "cpu", "cuda:1")
    specs = {spec.name: spec for spec in workers(mixed, "arena")}
    assert {name: spec.device for name, spec in specs.items()} == {
        "worker-0": "cuda:0",
        "worker-1": "cpu",
        "worker-2": "cuda:1",
        "cpu-worker": "cpu",
    }
    for runs_on in RunsOn:
        assert set(eligible_workers(runs_on, mixed)) <= set(specs)
    assert {spec.capacity for spec in specs.values()} == {3}


def test_a_worker_sees_its_device_alone_by_its_id() -> None:
    specs = workers(settings("cuda:1", "cpu", "cuda:0"), "arena")
    seen = {spec.name: spec.config.cuda_visible_devices for spec in specs}
    assert seen == {"worker-0": "GPU-cuda:1", "worker-1": "", "worker-2": "GPU-cuda:0"} | {
        "cpu-worker": ""
    }


def threads(*devices: str, cores: int) -> list[int]:
    """The CPU threads of the workers of DEVICES."""
    given = msgspec.structs.replace(settings(*devices), cores=cores)
    configs = [spec.config for spec in workers(given, "arena") if spec.name.startswith("worker-")]
    return [config.threads for config in configs if isinstance(config, WorkerConfig)]


def test_cpu_workers_have_all_cores_and_cuda_workers_share_them() -> None:
    assert threads(*(f"cuda:{i}" for i in range(8)), cores=96) == [12] * 8
    assert threads("cpu", "cpu", cores=96) == [96, 96]
    assert threads("cuda:0", "cuda:1", cores=1) == [1, 1]


def test_cv2_in_all_workers_together_has_a_thread_per_core() -> None:
    for devices, share in ((("cpu",), 16), (("cpu", "cpu"), 8), (("cuda:0", "cpu") * 16, 1)):
        given = msgspec.structs.replace(settings(*devices), cores=16)
        assert {spec.config.cv2_threads for spec in workers(given, "arena")} == {share}


@pytest.mark.parametrize(
    ("cores", "processes", "threads"),
    [
        (1, 2, 1),
        (2, 2, 2),
        (2, 1, 2),
        (4, 2, 4),
        (16, 8, 4),
        (16, 16, 2),
        (16, 64, 1),
        (128, 64, 4),
    ],
)
def test_all_decoders_together_have_at_most_two_threads_per_core(
    cores: int, processes: int, threads: int
) -> None:
    given = msgspec.structs.replace(settings("cpu"), cores=cores, decode_processes=processes)
    configs = [spec.config for spec in decoders(given, "arena")]
    assert configs == [DecoderConfig("arena", threads)] * processes
