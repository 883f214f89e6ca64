"""A process in the sandbox: what it can do no more, what it still can, and what is reported."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipc import landlock, seccomp

SUPPORT = Path(__file__).parents[1] / "support"
MEASURES = {
    "no_new_privileges",
    "core_dumps",
    "memory",
    "files_and_tcp",
    "capabilities",
    "system_calls",
}
DATA_BYTES = 512 << 20
ENTER = f"""
import json, os, sys, threading
from pathlib import Path
from ipc import landlock, sandbox, seccomp
folder, outside = Path(sys.argv[1]), int(sys.argv[2])
limits = sandbox.Limits((str(folder / "arena"),), {DATA_BYTES})
"""
REPORT = "print(json.dumps(found))"


def can_landlock() -> bool:
    try:
        return landlock.version() >= 6
    except OSError:
        return False


def run(script: str, folder: Path) -> Any:
    """What the script, in a process of its own, finds."""
    for name in ("victim", "arena"):
        (folder / name).write_text("as before")
    outside = subprocess.Popen(["sleep", "60"])  # debugging it stops it
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"{ENTER}{script}\n{REPORT}", str(folder), str(outside.pid)],
            env={**os.environ, "PYTHONPATH": f"{SUPPORT}:{os.environ.get('PYTHONPATH', '')}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        outside.kill()
        outside.wait()
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_every_measure_is_in_force_or_says_why_not(tmp_path: Path) -> None:
    found = run("found = sandbox.enter(limits)", tmp_path)
    assert set(found) == MEASURES
    if can_landlock():
        assert set(found.values()) == {"in force"}


def test_nothing_that_is_forbidden_succeeds(tmp_path: Path) -> None:
    script = (
        "sandbox.enter(limits)\nfrom escapes import attempts\nfound = attempts(folder, outside)"
    )
    allowed = [] if can_landlock() else run_without("landlock", tmp_path)
    assert run(script, tmp_path) == allowed
    assert (tmp_path / "victim").read_text() == "as before"


def test_without_a_sandbox_they_do_succeed(tmp_path: Path) -> None:
    """Else the test above would show nothing. What needs privileges may fail in any case."""
    script = (
        "import escapes; escapes.os.execv = lambda *_: None\n"
        "found = escapes.attempts(folder, outside)"
    )
    found = set(run(script, tmp_path))
    assert found >= {"overwrite", "append", "truncate", "create", "link", "rename", "mode"}
    assert found >= {"socket", "Unix socket", "pair", "fork", "signal", "core dump"}


def run_without(library: str, folder: Path) -> list[str]:
    """What succeeds on a kernel that lacks `landlock` or `seccomp`."""
    script = (
        "def missing(*_):\n    raise OSError(38, 'Function not implemented')\n"
        f"{library}.restrict = missing\n"
        "measures = sandbox.enter(limits)\n"
        "reasons = [m for m in measures.values() if m.startswith('not possible')]\n"
        "assert reasons == ['not possible: Function not implemented'], measures\n"
        "from escapes import attempts; import escapes\n"
        "escapes.os.execv = lambda *_: None\n"
        "found = attempts(folder, outside)"
    )
    found: list[str] = run(script, folder)
    return found


def test_each_half_holds_without_the_other(tmp_path: Path) -> None:
    without_landlock = set(run_without("landlock", tmp_path))
    assert not without_landlock & {"socket", "pair", "fork", "signal", "mode", "debugger"}
    if can_landlock():
        (tmp_path / "second").mkdir()
        without_seccomp = set(run_without("seccomp", tmp_path / "second"))
        assert not without_seccomp & {"overwrite", "create", "delete", "rename", "signal"}
        assert "file of another process" not in without_seccomp


def test_what_a_decoder_needs_still_works(tmp_path: Path) -> None:
    script = """
sandbox.enter(limits)
found = []
thread = threading.Thread(target=lambda: found.append(threading.get_native_id() != os.getpid()))
thread.start()
thread.join(30)
with open(folder / "victim") as file:
    found.append(open(f"/proc/self/fd/{file.fileno()}").read() == "as before")
with open(folder / "arena", "r+") as file:
    file.write("changed")
os.kill(os.getpid(), 0)
os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
"""
    assert run(script, tmp_path) == [True, True]
    assert (tmp_path / "arena").read_text().startswith("changed")


def test_threads_are_in_the_sandbox(tmp_path: Path) -> None:
    script = """
sandbox.enter(limits)
from escapes import attempts
found = []
thread = threading.Thread(target=lambda: found.extend(attempts(folder, outside)))
thread.start()
thread.join(30)
"""
    assert run(script, tmp_path) == ([] if can_landlock() else run_without("landlock", tmp_path))


def test_memory_past_the_limit_is_refused_and_mapped_files_do_not_count(tmp_path: Path) -> None:
    script = """
import mmap
os.truncate(folder / "arena", 1 << 31)
sandbox.enter(limits)
with open(folder / "arena", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0)
def allocated(size_bytes):
    try:
        return len(bytearray(size_bytes)) == size_bytes
    except MemoryError:
        return False
found = [allocated(64 << 20), allocated(1 << 30), allocated(64 << 20)]
"""
    assert run(script, tmp_path) == [True, False, True]


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_an_older_landlock_still_forbids_writing(version: int, tmp_path: Path) -> None:
    if not can_landlock():
        return  # there is nothing to be limited to an older version
    script = f"""
landlock.version = lambda: {version}
found = sandbox.enter(limits)["files_and_tcp"]
from escapes import attempts
found = [found, *attempts(folder, outside)]
"""
    found = run(script, tmp_path)
    assert found[0] == "in force"
    assert not set(found) & {"overwrite", "append", "create", "delete", "folder", "link"}


def decide(number: int, arguments: tuple[int, ...] = (0, 0), arch: int = 0xC000003E) -> int:
    """What the filter of process 42 answers: the instructions of classic BPF that it has."""
    data = struct.pack("IIQ2Q", number, arch, 0, *arguments)
    steps = list(struct.iter_unpack("HBBI", seccomp.filter_program(42)))
    at = accumulator = 0
    while True:
        opcode, if_true, if_false, operand = steps[at]
        at += 1
        match opcode:
            case seccomp.LOAD:
                (accumulator,) = struct.unpack_from("I", data, operand)
            case seccomp.RETURN:
                return int(operand)
            case seccomp.JUMP_EQUAL:
                at += if_true if accumulator == operand else if_false
            case seccomp.JUMP_AT_LEAST:
                at += if_true if accumulator >= operand else if_false
            case seccomp.JUMP_IF_SET:
                at += if_true if accumulator & operand else if_false
            case _:
                raise AssertionError(opcode)


READ, THREAD, PROCESS = 0, 0x3D0F00, 0x01200011  # flags of clone as glibc passes them


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (READ, (0, 0), seccomp.ALLOW),
        *((number, (0, 0), seccomp.ERRNO | errno.EPERM) for number in seccomp.DENIED.values()),
        (seccomp.CLONE, (THREAD, 0), seccomp.ALLOW),
        (seccomp.CLONE, (PROCESS, 0), seccomp.ERRNO | errno.EPERM),
        (seccomp.CLONE3, (0, 0), seccomp.ERRNO | errno.ENOSYS),
        (seccomp.KILL, (42, 9), seccomp.ALLOW),
        (seccomp.KILL, (43, 9), seccomp.ERRNO | errno.EPERM),
        (seccomp.TGKILL, (42, 42), seccomp.ALLOW),
        (seccomp.TGKILL, (1, 1), seccomp.ERRNO | errno.EPERM),
        (seccomp.X32_BIT | READ, (0, 0), seccomp.ERRNO | errno.ENOSYS),
    ],
)
def test_the_filters_answer(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert decide(number, arguments) == expected


def test_another_instruction_set_ends_the_process() -> None:
    assert decide(READ, arch=0x40000003) == seccomp.KILL_PROCESS
