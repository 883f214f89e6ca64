"""An http or https URL, split once: what is checked is what is connected to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
HOST_NAME = re.compile(r"[a-z0-9._-]+")
# Of RFC 3986's path and query; "%" because the URL is encoded already.
SAFE = "/%:@!$&'()*+,;=~?"


class BadAddress(ValueError):
    """The URL cannot be used; the message says why, and does not contain the URL."""


@dataclass(frozen=True)
class WebAddress:
    """Where to connect to, and what to request there."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without brackets, in its shortest form."""
    port: int
    target: str
    """The path and the query. The query may be a secret: it must not be logged."""

    @property
    def authority(self) -> str:
        """Host and port, as in a `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The part of the URL that logs and error messages may show."""
        return f"{self.scheme}://{self.authority}"

    def redirected(self, location: str) -> WebAddress:
        """The address that a `Location` header of this one leads to; raises BadAddress."""
        try:
            return parse(urljoin(self.origin + self.target, location))
        except BadAddress:
            raise
        except ValueError as error:
            raise BadAddress(f"it is not a valid URL: {error}") from None


def parse(url: str) -> WebAddress:
    """Split a URL; raises BadAddress."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise BadAddress("it contains a space, a control character or a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(f"it is not a valid URL: {error}") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise BadAddress("it must start with http:// or https://")
    if "@" in parts.netloc:
        raise BadAddress("it must not contain a user name or a password")
    if port == 0:
        raise BadAddress("its port is 0")
    target = quote(parts.path or "/", safe=SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=SAFE)
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    return WebAddress(parts.scheme, _host(parts), port, target)


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            if "%" not in name:  # no interface of this machine
                return str(IPv6Address(name))
        except ValueError:
            pass
        raise BadAddress("its host is not a valid IPv6 address")
    if not HOST_NAME.fullmatch(name):
        raise BadAddress("its host name is missing or not in ASCII (`xn--…`)")
    return name
