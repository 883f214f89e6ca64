"""Every setting, its default and its limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.settings import MB, BadSetting, from_environ
from server.tasks.registry import installed

TASKS = tuple(installed())


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"MODEL_CACHE_DIR": str(tmp_path / "models")}


def test_defaults(environ: dict[str, str]) -> None:
    settings = from_environ(environ, TASKS)
    assert (settings.host, settings.port) == ("127.0.0.1", 8001)
    assert settings.gpu_concurrency == 2
    assert settings.media_roots == (os.path.realpath(os.getcwd()),)
    assert Path(settings.model_cache_dir).is_dir()
    assert settings.preload == ()
    assert (settings.model_memory_mb, settings.model_idle_s, settings.worker_max_rss_mb) == (
        0,
        0,
        0,
    )


def test_an_empty_value_is_the_default(environ: dict[str, str]) -> None:
    assert from_environ({**environ, "PORT": ""}, TASKS).port == 8001


def test_values(environ: dict[str, str], tmp_path: Path) -> None:
    settings = from_environ(
        {
            **environ,
            "DEVICES": "cpu,cpu",
            "PRELOAD": "objects, scenes",
            "MEDIA_ROOTS": f"{tmp_path}:/",
            "REQUIRE_GPU": "False",
            "LOG_LEVEL": "debug",
            "REQUEST_TIMEOUT_S": "1.5",
            "WHISPER_MODEL": "tiny",
            "MODEL_MEMORY_MB": "500",
            "MODEL_IDLE_S": "0.5",
            "WORKER_MAX_RSS_MB": "3000",
        },
        TASKS,
    )
    assert settings.devices == ("cpu", "cpu")
    assert settings.preload == ("objects", "scenes")
    assert settings.media_roots == (str(tmp_path), "/")
    assert settings.log_level == "DEBUG"
    assert settings.request_timeout_s == 1.5
    assert settings.whisper_model == "tiny"
    assert (settings.model_memory_mb, settings.worker_max_rss_mb) == (500, 3000)
    assert settings.model_idle_s == 0.5


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "65536", "from 0 to 65535"),
        ("PORT", "eighty", "whole number"),
        ("MODEL_MEMORY_MB", "-1", "whole number"),
        ("MODEL_IDLE_S", "never", "0 (never), or a number of seconds"),
        ("MODEL_IDLE_S", "700000", "at most 604800"),
        ("WORKER_MAX_RSS_MB", "2GB", "whole number"),
        ("GPU_CONCURRENCY", "0", "from 1 to 64"),
        ("REQUIRE_GPU", "maybe", "true or false"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
        ("DEVICES", "cuda:99", "cuda:N"),
        ("DEVICES", "", None),
        ("DECODE_PROCESSES", "-1", "whole number"),
        ("FRAME_POOL_MB", "1", "from 64"),
        ("FRAME_POOL_MB", "16777216", "--shm-size"),
        ("MEDIA_ROOTS", "/no/such/folder", "is no folder"),
        ("MAX_QUEUED_REQUESTS", "0", "whole number"),
        ("REQUEST_TIMEOUT_S", "0", "above 0"),
        ("REQUEST_TIMEOUT_S", "nan", "number of seconds"),
        ("MAX_UPLOAD_MB", "x", "whole number"),
        ("MAX_FRAME_PIXELS", "0", "whole number"),
        ("PRECISION", "fp8", "fp16"),
        ("CORS_ORIGINS", "*", "https://app.example.com"),
        ("CORS_ORIGINS", "https://a.example,https://b.example/", "'https://b.example/'"),
        ("ALLOWED_HOSTS", "ml.example:8001", "'ml.example:8001'"),
        ("WEIGHTS_MIRRORS", "maybe", "on or off"),
        ("PRELOAD", "objects,cats", "'cats' is not a task"),
        ("MODEL_CACHE_DIR", "/proc/nothing", "cannot be created"),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_what_is_allowed(
    name: str, value: str, allowed: str | None, environ: dict[str, str]
) -> None:
    if allowed is None:
        assert from_environ({**environ, name: value}, TASKS).devices
        return
    with pytest.raises(BadSetting) as error:
        from_environ({**environ, name: value}, TASKS)
    message = str(error.value)
    assert message.startswith(f"{name}={value!r}")
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(("cores", "decoders"), [(1, 2), (2, 2), (16, 8), (130, 64), (512, 64)])
def test_the_default_number_of_decoders_is_allowed_on_any_machine(
    cores: int, decoders: int, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.settings.available_cpus", lambda: cores)
    settings = from_environ(environ, TASKS)
    assert (settings.cores, settings.decode_processes) == (cores, decoders)


class Shm:
    """A /dev/shm with so much free space."""

    def __init__(self, free_mb: int) -> None:
        self.f_bavail, self.f_frsize = free_mb, MB


@pytest.mark.parametrize("value", ["", "128"])
def test_a_pool_that_leaves_no_room_for_queues_is_refused(
    value: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue has semaphores, which are files in /dev/shm."""
    monkeypatch.setattr(os, "statvfs", lambda _: Shm(128))
    with pytest.raises(BadSetting, match="130 MB of /dev/shm, which has 128 MB free"):
        from_environ({**environ, "FRAME_POOL_MB": value}, TASKS)
    monkeypatch.setattr(os, "statvfs", lambda _: Shm(130))
    assert from_environ({**environ, "FRAME_POOL_MB": value}, TASKS).frame_pool_mb <= 128


@pytest.mark.parametrize("exists", [False, True])
def test_a_dev_shm_that_is_missing_or_read_only_is_refused(
    exists: bool, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if exists:
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        monkeypatch.setattr("server.settings.SHM", tmp_path / "none")
    with pytest.raises(BadSetting, match="it must be a tmpfs that this user can write to"):
        from_environ(environ, TASKS)
