"""Every command in the documentation: cheap ones are run, the others are checked."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, Command, commands, text_of

from bench import __main__ as bench
from server.settings import Settings

BIN = Path(sys.executable).parent
CHEAP = ("bench --help", "bench compare --help", "gpu_workers.weights list")
ALL = [
    command
    for name in ("README.md", "CONTRIBUTING.md", "RELIABILITY.md")
    for command in commands(name)
    if command.words[0] != "curl"  # see test_api_examples
]


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.text)
def test_command(command: Command) -> None:
    assert {name.lower() for name in command.environ} <= set(Settings.__struct_fields__)
    program, *arguments = command.words
    if program == "make":
        check_make(arguments)
        return
    if program == "docker":
        assert (ROOT / "Dockerfile").exists()
        return
    assert program.startswith(".venv/bin/")
    name = program.removeprefix(".venv/bin/")
    assert (BIN / name).exists()
    match name:
        case "python":
            check_module(arguments)
        case "pytest":
            check_pytest(arguments)
        case "ruff":
            run(str(BIN / name), *arguments)
        case "uvicorn":
            module, attribute = arguments[1].split(":")
            assert callable(getattr(importlib.import_module(module), attribute))
        case _:
            assert (name, arguments) in [("mypy", []), ("lint-imports", [])]


def check_make(arguments: list[str]) -> None:
    """Targets must exist, and so must the variables that the command sets."""
    makefile = text_of("Makefile") + text_of("deploy/image.py") + text_of("requirements/install")
    targets = [argument for argument in arguments if "=" not in argument]
    known = re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE)
    assert targets
    assert set(targets) <= set(known)
    for argument in arguments:
        assert argument in targets or argument.split("=")[0] in makefile


def check_module(arguments: list[str]) -> None:
    """Run a cheap module, parse the options of a measurement, ask the others for help."""
    option, module, *rest = arguments
    assert option == "-m"
    assert importlib.util.find_spec(module) is not None
    if " ".join([module, *rest]) in CHEAP:
        run(sys.executable, "-m", module, *rest)
    elif module == "bench":
        assert bench._parser().parse_args(rest).measurement == rest[0]
    else:
        run(sys.executable, "-m", module, *rest, "--help")


def check_pytest(arguments: list[str]) -> None:
    """Run a single test; of a file or a folder, only check that it exists."""
    (target,) = arguments
    if "::" in target:
        run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", target)
    else:
        assert (ROOT / target).exists()


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documents_have_commands() -> None:
    """Guards the others: a change of format must not leave nothing to check."""
    programs = {command.words[0] for command in ALL}
    tools = {f".venv/bin/{name}" for name in ("python", "pytest", "ruff", "uvicorn")}
    assert programs >= tools | {"make"}
    assert len(ALL) > 20
