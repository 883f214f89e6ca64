"""Which CUDA devices are found, and what a driver that does not work leads to."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_driver import FakeDriver
from running import ROOT, SUPPORT

from server import cuda_devices as module
from server.cuda_devices import DriverFailed, cuda_devices
from server.settings import BadSetting, from_environ

FIRST = "GPU-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd001"
SECOND = "GPU-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd002"
INSTANCE = "MIG-0aac7d1a-4a16-4c12-a4e4-0f6e8b1cd003"
TWO = {FIRST: "NVIDIA H100", SECOND: "NVIDIA H100"}
WHAT_BREAKS = ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetUuid_v2"]


def install(monkeypatch: pytest.MonkeyPatch, driver: FakeDriver | OSError) -> None:
    """Let this be what `ctypes` loads as the driver."""

    def load(name: str) -> FakeDriver:
        assert name == "libcuda.so.1"
        if isinstance(driver, OSError):
            raise driver
        return driver

    monkeypatch.setattr(module.ctypes, "CDLL", load)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"MODEL_CACHE_DIR": str(tmp_path), "FRAME_POOL_MB": "64"}


def test_devices_have_the_ids_that_the_driver_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeDriver(TWO))
    assert cuda_devices("") == {"cuda:0": FIRST, "cuda:1": SECOND}
    assert cuda_devices("0,1") == {"cuda:0": FIRST, "cuda:1": SECOND}  # the driver has applied it


def test_a_mig_instance_has_a_mig_id(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeDriver({INSTANCE: "NVIDIA H100 80GB HBM3 MIG 1g.10gb"}))
    assert cuda_devices("") == {"cuda:0": INSTANCE}


def test_every_mig_id_is_a_device_although_the_driver_shows_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, FakeDriver({INSTANCE: "NVIDIA H100 80GB HBM3 MIG 1g.10gb"}))
    listed = f"{INSTANCE}, MIG-GPU-0aac7d1a/1/0,{FIRST}"
    assert cuda_devices(listed) == {
        "cuda:0": INSTANCE,
        "cuda:1": "MIG-GPU-0aac7d1a/1/0",
        "cuda:2": FIRST,
    }


def test_no_device_and_no_driver_are_no_fault(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    install(monkeypatch, FakeDriver({}, {"cuInit": 100}))
    assert from_environ(environ, ()).devices == ("cpu",)
    monkeypatch.undo()
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        return  # a machine with a driver
    assert cuda_devices("") == {}
    assert from_environ(environ, ()).devices == ("cpu",)


@pytest.mark.parametrize("function", WHAT_BREAKS)
@pytest.mark.parametrize("code", [3, 803, 804, 999, 12345])
def test_any_other_error_stops_the_start(
    code: int, function: str, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    install(monkeypatch, FakeDriver(TWO, {function: code}))
    for devices in ("auto", "cuda:0", "cpu,cuda:0"):
        with pytest.raises(DriverFailed) as error:
            from_environ({**environ, "DEVICES": devices}, ())
        message = str(error.value)
        for word in (function, str(code), "DEVICES=cpu"):
            assert word in message
        assert "\n" not in message
    assert from_environ({**environ, "DEVICES": "cpu"}, ()).devices == ("cpu",)


def test_the_error_has_its_name_and_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeDriver(TWO, {"cuInit": 803}))
    with pytest.raises(DriverFailed, match=r"803, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH; .*restart"):
        cuda_devices("")


@pytest.mark.parametrize(
    "reason",
    [
        "libcuda.so.1: file too short",
        "libcuda.so.1: cannot open shared object file: Permission denied",
        "libnvidia-x.so: cannot open shared object file: No such file or directory",
    ],
)
def test_a_driver_that_cannot_be_loaded_stops_the_start(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, OSError(reason))
    with pytest.raises(DriverFailed) as error:
        cuda_devices("")
    assert reason in str(error.value)


def test_a_driver_without_a_function_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(TWO)
    del driver.cuDeviceGetUuid_v2
    install(monkeypatch, driver)
    with pytest.raises(DriverFailed, match="cuDeviceGetUuid_v2; update it"):
        cuda_devices("")


def test_settings_have_the_ids_of_the_devices_chosen(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    install(monkeypatch, FakeDriver(TWO))
    assert from_environ(environ, ()).cuda_ids == {"cuda:0": FIRST, "cuda:1": SECOND}
    mixed = from_environ({**environ, "DEVICES": "cpu,CUDA:1,cuda:1"}, ())
    assert mixed.devices == ("cpu", "cuda:1", "cuda:1")
    assert mixed.cuda_ids == {"cuda:1": SECOND}
    with pytest.raises(BadSetting, match="found: cuda:0, cuda:1"):
        from_environ({**environ, "DEVICES": "cuda:2"}, ())


@pytest.mark.parametrize("require", ["true", "false"])
@pytest.mark.parametrize("devices", ["auto", "cuda:0"])
def test_a_start_on_a_driver_that_does_not_work_ends_with_one_line(
    devices: str, require: str, environ: dict[str, str]
) -> None:
    environ |= {"DEVICES": devices, "REQUIRE_GPU": require}
    environ |= {"EIOKU_TEST_DEVICES": "{}", "EIOKU_TEST_DRIVER_ERROR": "999"}
    environ |= {"PYTHONPATH": f"{SUPPORT}:{os.environ.get('PYTHONPATH', '')}"}
    started = subprocess.run(
        [sys.executable, "-m", "cuda_server"],
        env={**os.environ, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert started.returncode == 1
    (line,) = started.stderr.strip().splitlines()
    for word in ("eioku-ml", "999", "CUDA_ERROR_UNKNOWN", "nvidia-uvm", "DEVICES=cpu"):
        assert word in line


@pytest.mark.gpu
def test_a_process_pinned_to_an_id_sees_this_device_alone() -> None:
    script = "import torch.cuda as c; print([str(c.get_device_properties(i).uuid) for i in {}])"
    for cuda_id in cuda_devices("").values():
        shown = subprocess.run(
            [sys.executable, "-c", script.format("range(c.device_count())")],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": cuda_id},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert shown.stdout.strip() == f"['{cuda_id[4:]}']"


@pytest.mark.gpu
def test_the_ids_are_those_of_torch() -> None:
    import torch

    ids = [cuda_id[4:] for cuda_id in cuda_devices("").values()]
    count = torch.cuda.device_count()
    assert ids == [str(torch.cuda.get_device_properties(i).uuid) for i in range(count)]
