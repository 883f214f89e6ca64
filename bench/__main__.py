"""`python -m bench`: measure the service, this machine, and the alternatives."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import ModuleType

from rich.console import Console

from bench.compare import command as compare
from bench.compare import footage_drift
from bench.limits import command as limits
from bench.load import command as load
from bench.overhead import command as overhead
from bench.overhead import scaling
from bench.reporting.tables import RESULTS, write_results

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
        tables = MEASUREMENTS[name].run(arguments)
        for table in tables:
            table.show(console)
        if arguments.write:
            write_results(arguments.write, tables, command)
        console.print(f"{name}: {time.monotonic() - started:.0f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="measurement", required=True)
    for name, module in MEASUREMENTS.items():
        first_line = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=first_line, description=module.__doc__)
        _common(command, write=None)
        module.configure(command)
    everything = commands.add_parser("all", help="run all; the tables go into RESULTS.md")
    _common(everything, write=RESULTS)
    for module in MEASUREMENTS.values():
        module.configure(everything)
    return parser


def _common(command: argparse.ArgumentParser, write: Path | None) -> None:
    command.add_argument("--quick", action="store_true", help="fewer points: minutes in total")
    command.add_argument("--write", type=Path, default=write, help="Markdown file for the tables")
    command.add_argument(
        "--output", type=Path, default=Path("bench-output"), help="folder for all other output"
    )


if __name__ == "__main__":
    sys.exit(main())
