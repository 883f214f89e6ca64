"""The service's settings: the environment, read once, validated and frozen."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from ipc.arena import SHM
from ipc.cpus import available_cpus
from server import clients
from server.clients import Client
from server.cuda_devices import cuda_devices
from server.net import destinations
from server.net.destinations import Destinations

T = TypeVar("T")

MB = 1 << 20
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
MIN_POOL_MB = 64
QUEUES_MB = 2  # semaphores: 12 kB per child process, and twice that while it is replaced
MOST_DECODERS = 64
POOL_MB_PER_DEVICE = 1024


# As browsers write them: lower case, no default port, no path.
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
HOST_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]+")  # or an IPv6 address, bare
SECRETS = frozenset({"API_KEY"})


class BadSetting(Exception):
    """An environment variable has a value that is not allowed; the message is one line."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        shown = name if name in SECRETS else f"{name}={value!r}"
        super().__init__(f"{shown} is not allowed: {allowed}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a deployment; the names contain the units."""

    host: str
    port: int
    gpu_concurrency: int
    model_cache_dir: str
    weights_mirrors: bool
    require_gpu: bool
    log_level: str
    devices: tuple[str, ...]
    cuda_ids: dict[str, str]
    """The id of each CUDA device in `devices`, as in CUDA_VISIBLE_DEVICES."""
    decode_processes: int
    frame_pool_mb: int
    media_roots: tuple[str, ...]
    max_queued_requests: int
    request_timeout_s: float
    stream_stall_s: float
    max_upload_mb: int
    video_url_hosts: Destinations
    max_frame_pixels: int
    precision: str
    preload: tuple[str, ...]
    api_key: tuple[Client, ...]
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    whisper_model: str
    model_memory_mb: int
    model_idle_s: float
    worker_max_rss_mb: int
    cores: int

    @property
    def has_cuda(self) -> bool:
        """Whether any worker runs on a CUDA device."""
        return any(device != "cpu" for device in self.devices)


def from_environ(environ: Mapping[str, str], tasks: Collection[str]) -> Settings:
    """Read all variables or their defaults; `tasks` are the installed ones.

    Raises BadSetting, or DriverFailed if a CUDA device is wanted and the driver does not work.
    """
    env = _Environ(environ)
    cores = available_cpus()
    visible = env.get("CUDA_VISIBLE_DEVICES", "", _text)
    chosen = env.get("DEVICES", "auto", _devices(visible))
    devices = tuple(name for name, _ in chosen)
    on_cuda = any(device != "cpu" for device in devices)
    return Settings(
        host=env.get("HOST", "127.0.0.1", _text),
        port=env.get("PORT", "8001", _whole(0, 65535)),
        gpu_concurrency=env.get("GPU_CONCURRENCY", "2", _whole(1, 64)),
        model_cache_dir=env.get("MODEL_CACHE_DIR", "", _cache_dir),
        weights_mirrors=env.get("WEIGHTS_MIRRORS", "on", _switch),
        require_gpu=env.get("REQUIRE_GPU", "false", _flag),
        log_level=env.get("LOG_LEVEL", "INFO", _one_of(LOG_LEVELS, str.upper)),
        devices=devices,
        cuda_ids={name: device_id for name, device_id in chosen if device_id},
        decode_processes=env.get(
            "DECODE_PROCESSES",
            str(min(MOST_DECODERS, max(2, cores // 2))),
            _whole(1, MOST_DECODERS),
        ),
        frame_pool_mb=env.get("FRAME_POOL_MB", "", _pool_mb(len(devices))),
        media_roots=env.get("MEDIA_ROOTS", os.getcwd(), _folders),
        max_queued_requests=env.get("MAX_QUEUED_REQUESTS", "64", _whole(1, 100_000)),
        request_timeout_s=env.get("REQUEST_TIMEOUT_S", "3600", _seconds),
        stream_stall_s=env.get("STREAM_STALL_S", "60", _seconds),
        max_upload_mb=env.get("MAX_UPLOAD_MB", "4096", _whole(1, 1 << 20)),
        video_url_hosts=env.get("VIDEO_URL_HOSTS", "", destinations.parser("VIDEO_URL_HOSTS")),
        max_frame_pixels=env.get("MAX_FRAME_PIXELS", str(8192 * 4320), _whole(1, 1 << 30)),
        precision=env.get("PRECISION", "auto", _one_of(PRECISIONS, str.lower)),
        preload=env.get("PRELOAD", "", _some_of(tasks)),
        api_key=env.get("API_KEY", "", clients.parse),
        cors_origins=env.get("CORS_ORIGINS", "", _list_of(ORIGIN, "https://app.example.com")),
        allowed_hosts=env.get("ALLOWED_HOSTS", "", _list_of(HOST_NAME, "ml.example.com")),
        whisper_model=env.get("WHISPER_MODEL", "large-v3" if on_cuda else "base", _text),
        model_memory_mb=env.get("MODEL_MEMORY_MB", "0", _whole(0, 1 << 24)),
        model_idle_s=env.get("MODEL_IDLE_S", "0", _seconds_or_never),
        worker_max_rss_mb=env.get("WORKER_MAX_RSS_MB", "0", _whole(0, 1 << 24)),
        cores=cores,
    )


class _Environ:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        value = self._environ.get(name) or default
        try:
            return parse(value)
        except ValueError as error:
            raise BadSetting(name, value, str(error)) from None


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in known:
        raise ValueError("it must be true or false")
    return known[value.lower()]


def _switch(value: str) -> bool:
    if value.lower() not in ("on", "off"):
        raise ValueError("it must be on or off")
    return value.lower() == "on"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", value) or not least <= int(value) <= most:
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return int(value)

    return parse


def _seconds(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]+)?", value) or not 0 < float(value) <= 604_800:
        raise ValueError("it must be a number of seconds, above 0 and at most 604800 (a week)")
    return float(value)


def _seconds_or_never(value: str) -> float:
    try:
        return 0.0 if value == "0" else _seconds(value)
    except ValueError:
        raise ValueError(
            "it must be 0 (never), or a number of seconds, at most 604800 (a week)"
        ) from None


def _one_of(allowed: tuple[str, ...], fold: Callable[[str], str]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if fold(value) not in allowed:
            raise ValueError(f"it must be one of {', '.join(allowed)}")
        return fold(value)

    return parse


def _some_of(tasks: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if unknown := [name for name in names if name not in tasks]:
            known = ", ".join(tasks)
            raise ValueError(f"{unknown[0]!r} is not a task; it must be a list of {known}")
        return names

    return parse


def _list_of(pattern: re.Pattern[str], example: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        items = tuple(part.strip().lower() for part in value.split(",") if part.strip())
        for item in items:
            if not pattern.fullmatch(item):
                raise ValueError(f"{item!r} is not like {example}; it must be a list of such")
        return items

    return parse


def _devices(visible: str) -> Callable[[str], list[tuple[str, str]]]:
    """The name and the id of each device; a CPU has no id. The driver is asked only if needed."""

    def parse(value: str) -> list[tuple[str, str]]:
        names = [part.strip().lower() for part in value.split(",")]
        found = {} if set(names) == {"cpu"} else cuda_devices(visible)
        if names == ["auto"]:
            return list(found.items()) or [("cpu", "")]
        for name in names:
            if name != "cpu" and name not in found:
                listed = ", ".join(found) or "no CUDA device is visible"
                raise ValueError(
                    f"there is no device {name!r}; it must be auto, or a list of cpu and cuda:N "
                    f"(found: {listed})"
                )
        return [(name, found.get(name, "")) for name in names]

    return parse


def _folders(value: str) -> tuple[str, ...]:
    folders = [Path(part) for part in value.split(":") if part]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{str(folder)!r} is no folder; it must be folders separated by ':'")
    return tuple(str(folder.resolve()) for folder in folders)


def _cache_dir(value: str) -> str:
    if value:
        return str(_made(Path(value)))
    try:
        return str(_made(Path("/models")))
    except ValueError:
        return str(_made(Path.home() / ".cache" / "eioku-ml"))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"the folder cannot be created ({error.strerror})") from None
    return folder.resolve()


def _pool_mb(devices: int) -> Callable[[str], int]:
    """A size that fits /dev/shm; by default 1 GB per device, at most half of the free space."""

    def parse(value: str) -> int:
        if not os.access(SHM, os.W_OK):
            raise ValueError(
                f"the frame pool is in {SHM}; it must be a tmpfs that this user can write to"
            )
        stat = os.statvfs(SHM)
        free_mb = stat.f_bavail * stat.f_frsize // MB
        wanted_mb = _whole(MIN_POOL_MB, 1 << 24)(value) if value else 2 * MIN_POOL_MB
        if wanted_mb + QUEUES_MB > free_mb:
            raise ValueError(
                f"the frame pool and the queues need {wanted_mb + QUEUES_MB} MB of {SHM}, which "
                f"has {free_mb} MB free; enlarge it (docker run --shm-size={2 * wanted_mb}m), or "
                "lower FRAME_POOL_MB"
            )
        return wanted_mb if value else min(free_mb // 2, POOL_MB_PER_DEVICE * devices)

    return parse
