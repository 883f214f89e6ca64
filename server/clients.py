"""The clients that API_KEY defines: their names, keys and limits."""

from __future__ import annotations

import hashlib
import re

import msgspec

DEFAULT_NAME = "default"
NAME = re.compile(r"[a-z0-9_-]{1,32}")
KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # the b64token of RFC 6750: neither ':' nor ','
LIMIT = re.compile(r"[1-9][0-9]{0,5}")


class Client(msgspec.Struct, frozen=True):
    """`limit` is the number of requests that it may have in progress; None: no limit of its own.

    The key itself is not kept, so nothing can show it.
    """

    name: str
    key_sha256: bytes
    limit: int | None = None


def digest(key: str) -> bytes:
    """What a key is compared by: it has the same length for every key."""
    return hashlib.sha256(key.encode()).digest()


def parse(value: str) -> tuple[Client, ...]:
    """Read `key`, `name:key` and `name:key:limit`, separated by commas.

    Raises ValueError, whose message names an entry by its number: any part of it may be a key.
    """
    clients: list[Client] = []
    for number, entry in enumerate(value.split(",") if value else (), 1):
        try:
            clients.append(_client(entry.strip(), clients))
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None
    return tuple(clients)


def _client(entry: str, others: list[Client]) -> Client:
    parts = entry.split(":")
    if len(parts) > 3:
        raise ValueError("it must be a key, name:key or name:key:limit")
    name, key, limit = [*([DEFAULT_NAME] if len(parts) == 1 else []), *parts, "", ""][:3]
    if not NAME.fullmatch(name):
        raise ValueError("the name must be 1 to 32 of the characters a-z 0-9 _ -")
    if not KEY.fullmatch(key):
        raise ValueError("the key must be one or more of the characters A-Z a-z 0-9 - . _ ~ + / =")
    if len(parts) == 3 and not LIMIT.fullmatch(limit):
        raise ValueError("the limit must be a whole number from 1 to 999999")
    client = Client(name, digest(key), int(limit) if limit else None)
    if any(other.name == name for other in others):
        raise ValueError("the name is that of another entry")
    if any(other.key_sha256 == client.key_sha256 for other in others):
        raise ValueError("the key is that of another entry")
    return client
