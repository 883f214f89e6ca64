"""CSV as in RFC 4180, with a header. Nested structs become columns, such as `bbox_x`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from server.formats.format import Clip

NAME = "csv"
MEDIA_TYPE = "text/csv"
EXTENSION = "csv"


@dataclass(frozen=True)
class Table:
    """Column names, and rows of as many values."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def table(kind: type[msgspec.Struct], items: Sequence[Any]) -> Table:
    """One row per item, which is a `kind`. Lists, and what no item has set, are left out."""
    paths = list(_paths(kind, items))
    columns = ["_".join(path) for path in paths]
    return Table(columns, [[_value(item, path) for path in paths] for item in items])


def render(clip: Clip, items: Table) -> bytes:
    """Null is an empty field."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(items.columns)
    writer.writerows(items.rows)
    return written.getvalue().encode()


def _paths(kind: type[msgspec.Struct], items: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    """The fields of a struct, and of the structs in it."""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    for field in described.fields:
        values = [getattr(item, field.name) for item in items]
        if _is_unset(field) and all(value is UNSET for value in values):
            continue
        if isinstance(field.type, msgspec.inspect.StructType):
            yield from ((field.name, *path) for path in _paths(field.type.cls, values))
        elif not _is_list(field.type):
            yield (field.name,)


def _is_unset(field: msgspec.inspect.Field) -> bool:
    """Whether the default is UNSET, which msgspec reports as no default."""
    return not field.required and field.default is field.default_factory is msgspec.NODEFAULT


def _is_list(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_is_list, kind.types))
    return isinstance(kind, msgspec.inspect.CollectionType)


def _value(item: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        item = getattr(item, name)
    return str(item).lower() if isinstance(item, bool) else item
