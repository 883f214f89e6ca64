"""What compose.yaml and the Dockerfile say about memory, users, volumes and ports agrees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import POOL_MB_PER_DEVICE

ROOT = Path(__file__).parent.parent.parent
COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]


def in_image(pattern: str) -> str:
    """The first group of the pattern in the Dockerfile."""
    match = re.search(pattern, DOCKERFILE, re.MULTILINE)
    assert match is not None, pattern
    return match[1]


def test_each_profile_has_one_service_since_they_share_a_port() -> None:
    assert [service["profiles"] for service in SERVICES.values()] == [["gpu"], ["cpu"]]


def test_only_the_gpu_profile_reserves_a_gpu() -> None:
    assert ["deploy" in service for service in SERVICES.values()] == [True, False]
    assert SERVICES["eioku-ml"]["environment"]["REQUIRE_GPU"] == "true"
    assert SERVICES["eioku-ml-cpu"]["build"]["args"]["TORCH_BACKEND"] == "cpu"


def test_shared_memory_has_room_for_the_devices_that_the_comment_names() -> None:
    devices = [int(count) for count in re.findall(r"enough for\s+(?:# )?(\d+) device", COMPOSE)]
    assert len(devices) == len(SERVICES)
    for count, service in zip(devices, SERVICES.values(), strict=True):
        size_mb = int(service["shm_size"].removesuffix("g")) * 1024
        assert size_mb >= 2 * POOL_MB_PER_DEVICE * count


@pytest.mark.parametrize("name", SERVICES)
def test_the_user_is_the_one_that_owns_the_volume(name: str) -> None:
    uid, gid = in_image(r"--uid (\d+)"), in_image(r"--gid (\d+)")
    assert int(uid) > 0
    assert SERVICES[name]["user"] == in_image(r"^USER (.*)") == f"{uid}:{gid}"
    assert "models:/models" in SERVICES[name]["volumes"]
    assert in_image(r"chown (\w+:\w+) /models") == "eioku:eioku"
    assert in_image(r"^VOLUME (.*)") == "/models"


@pytest.mark.parametrize("name", SERVICES)
def test_media_is_read_only_and_the_port_is_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert [volume for volume in service["volumes"] if volume.endswith(":/media:ro")]
    assert service["ports"] == [f"127.0.0.1:{in_image(r'^EXPOSE (.*)')}:8001"]


@pytest.mark.parametrize("name", SERVICES)
def test_it_gets_longer_to_stop_than_its_requests_do(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 30
    assert SERVICES[name]["cap_drop"] == ["ALL"]
