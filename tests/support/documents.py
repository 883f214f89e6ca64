"""What the Markdown files of the repository contain: commands, JSON examples, tables, paths."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
# An indented block with the JSON that follows at once, or any other fenced block.
BLOCK = re.compile(
    r"((?:^ {4}\S.*\n(?: {8}.*\n)*)+)(?:\n```json\n((?:.*\n)*?)```)?|^```(?:.*\n)*?```",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Command:
    """One shell command: its environment, its words, and the JSON block that follows it."""

    environ: dict[str, str]
    words: list[str]
    example: Any = None

    @property
    def text(self) -> str:
        """The command for the name of a test."""
        return " ".join(self.words)


def text_of(name: str) -> str:
    """The text of a file, by its path in the repository."""
    return (ROOT / name).read_text()


def commands(name: str) -> list[Command]:
    """All commands in the indented blocks of a Markdown file."""
    found: list[Command] = []
    for block, example in BLOCK.findall(text_of(name)):
        lines = block.replace("\\\n", " ").splitlines()
        if not lines:
            continue
        *others, last = [_words(line) for line in lines]
        found += [_command(words) for words in others]
        found.append(_command(last, _example(example) if example else None))
    return found


def table(name: str, first_header: str) -> list[list[str]]:
    """The cells of each row of the table whose first header is this."""
    lines = iter(text_of(name).splitlines())
    for line in lines:
        if _cells(line)[:1] == [first_header]:
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(_cells(line))
    return rows


def quoted(cell: str) -> list[str]:
    """The words between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def _command(words: list[str], example: Any = None) -> Command:
    count = 0
    while count < len(words) and re.match(r"[A-Z_]+=", words[count]):
        count += 1
    environ = dict(word.split("=", 1) for word in words[:count])
    return Command(environ, words[count:], example)


def _example(block: str) -> Any:
    """The JSON of a block, without its `… 52 more`; one without braces is part of an object."""
    text = re.sub(r",\s*… \d+ more", "", block)
    return json.loads(text if text.startswith("{") else f"{{{text}}}")
