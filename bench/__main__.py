"""`python -m bench`: measure the service, this machine's limits, and what one would use instead."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from rich.console import Console

from bench.tables import RESULTS, Table, write_results

# Each module has `configure(parser)`, and `run(arguments)`, which returns its tables.
MEASUREMENTS = ("limits", "compare", "scaling", "load")


def main() -> int:
    """Run what the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="measurement", required=True)
    for name in (*MEASUREMENTS, "all"):
        doc = _module(name).__doc__ if name != "all" else "All of them, one after the other."
        command = commands.add_parser(name, help=(doc or "").splitlines()[0], description=doc)
        command.add_argument("--quick", action="store_true", help="minutes, with fewer points")
        command.add_argument("--write", type=Path, metavar="FILE", help="put the tables there")
        command.add_argument("--output", type=Path, default=Path("bench-output"), metavar="FOLDER")
        if name != "all":
            _module(name).configure(command)
    arguments = parser.parse_args()
    ...


if __name__ == "__main__":
    sys.exit(main())
