"""The hosts that the service may connect to, and the addresses that they may lead to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network

from server.net.addresses import Address, Network, is_public, parsed
from server.net.web_address import DEFAULT_PORTS

ENTRY = re.compile(
    r"(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?(=(?P<network>\S+))?"
)
ALLOWED = (
    "it must be a list of host names, each with an optional port and an optional network, "
    "e.g. videos.example.com,nas.local:8080=192.168.1.0/24"
)


class NotPermitted(Exception):
    """The host or one of its addresses is not permitted; the message is for the client."""


@dataclass(frozen=True)
class Destination:
    """One host: its public addresses, or those in `network` if there is one."""

    host: str
    ports: frozenset[int]
    network: Network | None

    def includes(self, address: Address) -> bool:
        """Whether the host may lead to this address."""
        return is_public(address) if self.network is None else address in self.network


@dataclass(frozen=True)
class Destinations:
    """All entries of a setting. Each permits certain addresses of one host."""

    setting: str
    entries: tuple[Destination, ...]

    def check_host(self, host: str, port: int) -> None:
        """Raise NotPermitted if no entry has this host and port."""
        if not self._of(host, port):
            raise NotPermitted(
                f"{self.setting} of this service does not list the host {host!r} with port {port}. "
                "Use a host that it lists, or ask the operator to add this one."
            )

    def check_addresses(self, host: str, port: int, addresses: list[str]) -> None:
        """Raise NotPermitted unless entries permit every address that the host leads to."""
        entries = self._of(host, port)
        for address in map(parsed, addresses):
            if not any(entry.includes(address) for entry in entries):
                raise NotPermitted(
                    f"The host {host!r} leads to an address that {self.setting} does not permit: "
                    "one that is not public must be named there, as host=address."
                )

    def _of(self, host: str, port: int) -> list[Destination]:
        return [entry for entry in self.entries if entry.host == host and port in entry.ports]


def parser(setting: str) -> Callable[[str], Destinations]:
    """A function that parses this setting; it raises ValueError."""

    def parse(value: str) -> Destinations:
        parts = [part.strip().lower() for part in value.split(",")]
        return Destinations(setting, tuple(_destination(part) for part in parts if part))

    return parse


def _destination(text: str) -> Destination:
    found = ENTRY.fullmatch(text)
    if found is None or int(found["port"] or 1) > 65535:
        raise ValueError(f"{text!r} is no such entry; {ALLOWED}")
    ports = frozenset([int(found["port"])] if found["port"] else DEFAULT_PORTS.values())
    host = found["host"].strip("[]")
    try:
        named = parsed(host)
    except ValueError:
        if found["host"] != host:
            raise ValueError(f"{host!r} is not an IPv6 address; {ALLOWED}") from None
        return Destination(host, ports, _network(found["network"]))
    if found["network"]:
        raise ValueError(f"{text!r} has a network, but its host is an address already; {ALLOWED}")
    return Destination(str(named), ports, ip_network(named))


def _network(text: str | None) -> Network | None:
    """The network, or None; raises ValueError."""
    try:
        return None if text is None else ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; {ALLOWED}") from None
