"""Every import is declared, every pin satisfies what is declared, and every pin has a hash."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import tomli
import torch
import torchvision
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PINS = sorted((ROOT / "requirements").glob("*.txt"))
OURS = {"server", "gpu_workers", "ipc", "bench", "tests", "deploy"}
# These have environments of their own in bench/compare, with pins of their own.
ELSEWHERE = {"faster_whisper", "litserve"}
# uvicorn uses the first two where they are installed, and ultralytics lap; pip runs as a program.
NEVER_IMPORTED = {"httptools", "uvloop", "lap", "pip"}
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
DISTRIBUTIONS = importlib.metadata.packages_distributions()


def declared(*extras: str) -> dict[str, list[Requirement]]:
    """The project's requirements by name: those of the service, and those of these extras."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    found: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, lines):
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    found.pop(project["name"], None)  # one extra may include another
    return found


def imported(*folders: str) -> set[str]:
    """The distributions of all top-level modules that Python files in these folders import."""
    modules = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    modules.add(node.module.partition(".")[0])
    on_path = [ROOT / "tests" / folder for folder in ("support", "chaos")]
    support = {path.stem for folder in on_path for path in folder.glob("*.py")}
    foreign = modules - sys.stdlib_module_names - OURS - ELSEWHERE - support
    names = (name for module in foreign for name in DISTRIBUTIONS.get(module, [module]))
    return set(map(canonicalize_name, names))


def applies(requirement: Requirement, python: str) -> bool:
    """Whether the requirement's marker holds for this Python on Linux."""
    place = {
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    return requirement.marker is None or requirement.marker.evaluate(place)


def pins(path: Path) -> list[tuple[Requirement, int]]:
    """Every pin of a file, with its number of hashes."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    parts = [line.split("--hash=sha256:") for line in text.splitlines()]
    return [(Requirement(first.strip()), len(hashes)) for first, *hashes in parts]


# Before that, packages_distributions knows only the packages that have a top_level.txt.
needs_311 = pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11")


@needs_311
def test_what_the_service_imports_is_declared() -> None:
    assert imported("server", "gpu_workers", "ipc") - declared("rapidocr").keys() == set()


@needs_311
def test_what_the_extra_brings_is_imported_by_the_engine_and_its_comparison_alone() -> None:
    assert declared("rapidocr").keys() - declared().keys() == {"onnxruntime", "rapidocr"}
    importers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("server", "gpu_workers", "ipc", "bench")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^ *(import|from) (onnxruntime|rapidocr)\b", path.read_text(), re.MULTILINE)
    }
    assert importers == {"bench/compare/library_texts.py", "gpu_workers/ocr/rapid.py"}


@needs_311
def test_what_the_benchmarks_import_is_declared() -> None:
    assert imported("bench") - declared("bench", "rapidocr").keys() == set()


@needs_311
def test_what_the_tests_import_is_declared() -> None:
    example = "eioku-sharpness"  # a package that the tests bring along
    assert imported("tests") - declared("bench", "dev", "rapidocr").keys() <= {example}


@needs_311
def test_nothing_is_declared_that_the_service_does_not_use() -> None:
    assert declared().keys() - imported("server", "gpu_workers", "ipc") == NEVER_IMPORTED


@needs_311
def test_what_only_the_benchmarks_need_is_no_dependency_of_the_service() -> None:
    only_bench = imported("bench") - imported("server", "gpu_workers", "ipc")
    assert only_bench == declared("bench").keys() - declared().keys()


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_pin_is_exact_and_has_a_hash(path: Path) -> None:
    for requirement, hashes in pins(path):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert hashes, requirement


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_no_file_of_pins_names_a_registry_or_a_path(path: Path) -> None:
    assert re.findall(r"^-.*|.*/.*", path.read_text(), re.MULTILINE) == []


def test_every_declared_dependency_is_pinned_for_every_python_and_within_its_bounds() -> None:
    everything = [requirement for path in PINS for requirement, _ in pins(path)]
    for name, wanted in declared("bench", "dev", "rapidocr").items():
        for python in PYTHONS:
            found = [pin for pin in everything if pin.name == name and applies(pin, python)]
            versions = {str(pin.specifier).removeprefix("==") for pin in found}
            assert len(versions) == 1, (name, python)
            bounds = [one.specifier for one in wanted if applies(one, python)]
            assert all(bound.contains(version) for bound in bounds for version in versions)


def test_the_packages_that_must_not_be_installed_are_not_pinned() -> None:
    names = {(pin.name, str(pin.specifier)) for path in PINS for pin, _ in pins(path)}
    assert "opencv-python" not in {name for name, _ in names}
    assert ("torch", "==2.13.0") not in names


def test_torch_and_torchvision_are_built_for_the_same_device() -> None:
    builds = [version.partition("+")[2] for version in (torch.__version__, torchvision.__version__)]
    assert builds[0] == builds[1]


def test_the_image_and_the_tests_have_the_files_of_pins_that_they_install() -> None:
    """And the image has the engine that needs no download."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = set(re.findall(r"requirements/(\w+)\.txt", dockerfile))
    (extras,) = re.findall(r"requirements/install \S+/uv \S+/python(.*)$", dockerfile, re.MULTILINE)
    assert extras.split() == ["rapidocr"]
    assert copied == {"uv", "build", "service", "torch", *extras.split()}
    makefile = (ROOT / "Makefile").read_text()
    (extras,) = re.findall(r"requirements/install \S+/uv \S+/python(.*)$", makefile, re.MULTILINE)
    assert extras.split() == ["rapidocr", "dev"]
