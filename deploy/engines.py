"""The programs that build and run images: docker, podman and buildah, behind one interface."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

PROGRAMS = ("docker", "podman", "buildah")
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

        The exit code of the process that this returns is the service's.
        """
        container = f"eioku-image-test-{port}"
        self._containers.append(container)
        command = [self.program, "run", "--name", container, "--shm-size", SHM_SIZE]
        command += ["--publish", f"127.0.0.1:{port}:8001", "--volume", f"{media}:/media:ro", image]
        return subprocess.Popen(command, stdout=log, stderr=log)

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Send SIGTERM to the service, which the program of the engine passes on."""
        process.terminate()

    def check(self, image: str, media: Path, code: str) -> None:
        """Run Python code in the image, as its user; raises EngineFailed unless it succeeds."""
        self._output("run", "--rm", "--volume", f"{media}:/media:ro", image, "python", "-c", code)

    def close(self) -> None:
        """Remove the containers, running or not."""
        for container in self._containers:
            self._output("rm", "--force", container)

    def _build(self) -> tuple[str, ...]:
        # podman's own format has no health check.
        return ("build", "--format", "docker") if self.program == "podman" else ("build",)

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
    """buildah, with chroot: it needs no runtime, and isolates neither network nor processes."""

    def size_bytes(self, image: str) -> int:
        """The size of the image's layers."""
        images = json.loads(self._output("images", "--json", image))
        return _bytes(images[0]["size"])

    def run(self, image: str, media: Path, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """As with docker; the service listens on the machine's own loopback interface."""
        container = self._container(image)
        place = ("--env", f"PORT={port}", "--env", "HOST=127.0.0.1")
        self._output("config", *place, container)
        words = json.loads(self._output("inspect", container))["OCIv1"]["config"]["Cmd"]
        command = [self.program, *self._run(media), container, "--", *words]
        return subprocess.Popen(command, stdout=log, stderr=log)

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Send SIGTERM to the service itself: buildah would kill it."""
        pid = process.pid
        while _name(pid).startswith("buildah") and (children := _children(pid)):
            pid = children[0]
        os.kill(pid, signal.SIGTERM)

    def check(self, image: str, media: Path, code: str) -> None:
        """Run Python code in the image, as its user; raises EngineFailed unless it succeeds."""
        self._output(*self._run(media), self._container(image), "--", "python", "-c", code)

    def close(self) -> None:
        """Remove the containers."""
        for container in self._containers:
            self._output("rm", container)

    def _container(self, image: str) -> str:
        container = self._output("from", "--pull-never", "--shm-size", SHM_SIZE, image)
        self._containers.append(container)
        return container

    def _build(self) -> tuple[str, ...]:
        # Without --layers it caches nothing; its own format has no health check.
        return ("build", "--isolation", "chroot", "--layers", "--format", "docker")

    def _run(self, media: Path) -> tuple[str, ...]:
        return ("run", "--isolation", "chroot", "--volume", f"{media}:/media:ro")


def find() -> Engine:
    """The engine that ENGINE names, else the first that works here; raises EngineFailed."""
    programs = [os.environ["ENGINE"]] if "ENGINE" in os.environ else list(PROGRAMS)
    for program in programs:
        if shutil.which(program) and _works(program):
            return Buildah(program) if program == "buildah" else Engine(program)
    raise EngineFailed(f"No program to build images works here; tried: {', '.join(programs)}.")


def _works(program: str) -> bool:
    done = subprocess.run(
        [program, "info"], check=False, capture_output=True, timeout=COMMAND_DEADLINE_S
    )
    return done.returncode == 0


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0].rpartition("/")[2]


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]


def _bytes(text: str) -> int:
    """The bytes of a size such as "7.1 GB"."""
    number, unit = text.split()
    return int(float(number) * 1000 ** ["B", "KB", "MB", "GB"].index(unit.upper()))
