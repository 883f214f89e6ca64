"""The command line: `python -m gpu_workers.weights list | fetch | standins | ensure`."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from gpu_workers.weights.catalogue import CATALOGUE, DEFAULTS, Entry, find
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore

console = Console(soft_wrap=True, markup=False, highlight=False)


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Return the exit code; on failure it is 1, with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_workers.weights",
        epilog="WEIGHTS_MIRRORS=off: download from the model hubs only.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show the known models")
    fetch = commands.add_parser("fetch", help="download models; without names, the defaults")
    fetch.add_argument("folder", type=Path)
    fetch.add_argument("names", nargs="*", default=list(DEFAULTS))
    standins = commands.add_parser("standins", help="make untrained stand-ins")
    standins.add_argument("folder", type=Path)
    ensure = commands.add_parser("ensure", help="download the defaults, or make stand-ins")
    ensure.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    mirrors = (os.environ.get("WEIGHTS_MIRRORS") or "on").lower()
    if mirrors not in ("on", "off"):
        parser.error(f"WEIGHTS_MIRRORS={mirrors!r} is not allowed: it must be on or off")
    try:
        match given.command:
            case "list":
                _list()
            case "fetch":
                _fetch(WeightsStore(given.folder, mirrors=mirrors == "on"), given.names)
            case "standins":
                _stand_ins(given.folder)
            case "ensure":
                _ensure(WeightsStore(given.folder, mirrors=mirrors == "on"))
    except (ModelUnavailable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _list() -> None:
    """Print each file, how it is verified, and its sources in the order in which they are tried."""
    for entry in CATALOGUE.values():
        size = f"{entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes else ""
        checksum = entry.checksum.split(":")[0] if entry.checksum else "hash when first seen"
        about = (entry.task, size, entry.licence, "" if entry.url is None else checksum)
        console.print(f"{entry.name}: {', '.join(filter(None, about))}")
        for source in (entry.url or "this package", *entry.mirrors):
            console.print(f"    {source}")


def _known(name: str) -> Entry:
    entry = find(name)
    if entry is None:
        raise ModelUnavailable(f"{name} is not in the catalogue: see `list`")
    return entry


def _fetch(store: WeightsStore, names: list[str]) -> None:
    for entry in [_known(name) for name in names]:
        weights = store.resolve(entry.name, entry.task)
        console.print(f"{weights.path} ({weights.source})")


def _stand_ins(folder: Path, names: tuple[str, ...] | None = None) -> None:
    """Import torch and the model libraries only here, so that the other commands start fast."""
    from gpu_workers.weights.standins.make import STAND_INS, make_stand_ins

    for name in make_stand_ins(folder, names or tuple(STAND_INS)):
        console.print(f"{folder / name}")
    console.print(
        "These are untrained stand-ins: they load and give results, but the results mean nothing."
    )


def _ensure(store: WeightsStore) -> None:
    missing = []
    for name in DEFAULTS:
        entry = CATALOGUE[name]
        try:
            weights = store.resolve(entry.name, entry.task)
        except ModelUnavailable as error:
            if store.status(entry.name, entry.task) == "ready":
                raise  # the file exists, but failed verification
            console.print(f"no {name}: {error}")
            missing.append(name)
        else:
            console.print(f"{weights.path} ({weights.source})")
    if missing:
        _stand_ins(store.cache_dir, tuple(missing))


if __name__ == "__main__":
    sys.exit(main())
