"""The programs that build and run images: docker, podman and buildah, behind one interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

COMMAND_DEADLINE_S = 120
BUILD_DEADLINE_S = 3600
SHM_SIZE = "2g"


class EngineFailed(Exception):
    """No program can build images, or it failed; the message is for a person."""


class Engine:
    """docker or podman, which take the same options."""

    def __init__(self, program: str) -> None:
        self.program = program
        self._containers: list[str] = []

    def build(self, image: str, folder: Path, arguments: Mapping[str, str]) -> None:
        """Build the folder's Dockerfile; raises EngineFailed."""
        command = [self.program, *self._build(), "--tag", image]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        done = subprocess.run([*command, str(folder)], check=False, timeout=BUILD_DEADLINE_S)
        if done.returncode:
            raise EngineFailed(f"{self.program} could not build {image}.")

    def size_bytes(self, image: str) -> int:
        """The size of the image's layers."""
        return int(self._output("image", "inspect", "--format", "{{.Size}}", image))

    def run(self, image: str, media: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the image's own command with a read-only media folder; it serves on `port`.

        SIGTERM to the process that this returns reaches the service, and its exit code is the
        service's.
        """
        container = f"eioku-image-test-{port}"
        self._containers.append(container)
        command = [self.program, "run", "--name", container, "--shm-size", SHM_SIZE]
        command += ["--publish", f"127.0.0.1:{port}:8001", "--volume", f"{media}:/media:ro", image]
        return subprocess.Popen(command, stderr=log)

    def check(self, image: str, media: Path, code: str) -> None:
        """Run Python code in the image, as its user; raises EngineFailed unless it succeeds."""
        self._output("run", "--rm", "--volume", f"{media}:/media:ro", image, "python", "-c", code)

    def close(self) -> None:
        """Remove the containers, running or not."""
        for container in self._containers:
            self._output("rm", "--force", container)

    def _build(self) -> tuple[str, ...]:
        return ("build",)

    def _output(self, *command: str) -> str:
        done = subprocess.run(
            [self.program, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_DEADLINE_S,
        )
        if done.returncode:
            raise EngineFailed(f"{self.program} {command[0]}: {done.stderr.strip()}")
        return done.stdout.strip()


class Buildah(Engine):
    """buildah, which gives a container no network of its own and does not run its command."""

    def size_bytes(self, image: str) -> int:
        """The size of the image's layers."""
        images = json.loads(self._output("images", "--json", image))
        return _bytes(images[0]["size"])

    def run(self, image: str, media: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """As with docker; the service listens on the machine's own loopback interface."""
        container = self._container(image)
        place = ("--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
        self._output("config", *place, container)
        words = self._output("inspect", "--format", "{{json .OCIv1.Config.Cmd}}", container)
        command = [self.program, "run", "--volume", f"{media}:/media:ro", container, "--"]
        return subprocess.Popen([*command, *json.loads(words)], stderr=log)

    def check(self, image: str, media: Path, code: str) -> None:
        """Run Python code in the image, as its user; raises EngineFailed unless it succeeds."""
        volume = ("--volume", f"{media}:/media:ro")
        self._output("run", *volume, self._container(image), "--", "python", "-c", code)

    def close(self) -> None:
        """Remove the containers."""
        for container in self._containers:
            self._output("rm", container)

    def _container(self, image: str) -> str:
        container = self._output("from", "--pull-never", "--shm-size", SHM_SIZE, image)
        self._containers.append(container)
        return container

    def _build(self) -> tuple[str, ...]:
        # Without --layers it caches nothing; only Docker's format has a health check.
        return ("build", "--layers", "--format", "docker")


def find() -> Engine:
    """The engine that ENGINE names, else the first that works here; raises EngineFailed."""
    named = os.environ.get("ENGINE")
    for program in [named] if named else ["docker", "podman", "buildah"]:
        if shutil.which(program) and _works(program):
            if program != "buildah":
                return Engine(program)
            # It needs neither user namespaces nor a runtime.
            os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
            return Buildah(program)
    raise EngineFailed(f"{named or 'None of docker, podman and buildah'} works here.")


def _works(program: str) -> bool:
    done = subprocess.run(
        [program, "info"], check=False, capture_output=True, timeout=COMMAND_DEADLINE_S
    )
    return done.returncode == 0


def _bytes(text: str) -> int:
    """The bytes of a size such as "7.1 GB"."""
    number, unit = text.split()
    return int(float(number) * 1000 ** ["B", "KB", "MB", "GB"].index(unit.upper()))
