"""`python -m bench`: measure the service, this machine, and the alternatives."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from rich.console import Console

from bench.compare import command as compare
from bench.compare import footage_drift
from bench.limits import command as limits
from bench.load import command as load
from bench.overhead import command as overhead
from bench.overhead import scaling
from bench.reporting.environment import describe
from bench.reporting.tables import RESULTS, Table, write_results
from bench.service_process import MODELS

# Each module has `configure(parser)`, and `run(arguments)`, which measures and returns its tables.
MEASUREMENTS: dict[str, ModuleType] = {
    "limits": limits,
    "compare": compare,
    "drift": footage_drift,
    "overhead": overhead,
    "scaling": scaling,
    "load": load,
}


def main() -> int:
    """Run the command from the command line; return the exit code."""
    arguments = _parser().parse_args()
    console = Console()
    command = "python -m bench " + " ".join(sys.argv[1:])
    wanted = MEASUREMENTS if arguments.measurement == "all" else [arguments.measurement]
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        console.rule(name)
        started = time.monotonic()
        tables = [_named(table, arguments.quick) for table in MEASUREMENTS[name].run(arguments)]
        for table in tables:
            table.show(console)
        if path := _results(arguments):
            write_results(path, tables, command, describe())
        console.print(f"{name}: {time.monotonic() - started:.0f} s")
    return 0


def _named(table: Table, quick: bool) -> Table:
    """Keep a quick table apart from the long one in the same file."""
    if not quick:
        return table
    return replace(table, name=f"{table.name}-quick", title=f"{table.title} (quick)")


def _results(arguments: argparse.Namespace) -> Path | None:
    """The file for the tables; without --write only `all` has one, and a quick run not RESULTS."""
    if arguments.write or arguments.measurement != "all":
        written: Path | None = arguments.write
        return written
    quick: Path = arguments.output / "RESULTS-quick.md"
    return quick if arguments.quick else RESULTS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="measurement", required=True)
    for name, module in MEASUREMENTS.items():
        first_line = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=first_line, description=module.__doc__)
        _common(command)
        module.configure(command)
    everything = commands.add_parser("all", help="run all; the tables go into RESULTS.md")
    _common(everything)
    for module in MEASUREMENTS.values():
        module.configure(everything)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--quick", action="store_true", help="fewer points: minutes in total")
    command.add_argument("--write", type=Path, help="Markdown file for the tables")
    command.add_argument("--models", type=Path, default=MODELS, help="weights (%(default)s)")
    command.add_argument(
        "--output", type=Path, default=Path("bench-output"), help="folder for all other output"
    )


if __name__ == "__main__":
    sys.exit(main())
