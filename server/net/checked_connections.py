"""HTTP connections to permitted destinations: a connection goes to an address that was checked.

The name is resolved once for each connection, by this process. So an answer of the DNS that changes
after the check leads nowhere else. TLS and the `Host` header still use the name.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from ssl import SSLContext

import anyio
import httpcore

from server.net.destinations import Destinations, NotPermitted

Resolve = Callable[[str, int], Awaitable[list[str]]]
MOST_ADDRESSES = 16

log = logging.getLogger(__name__)
# Its DEBUG lines contain headers, among them the `Location` of a redirect to a signed URL.
logging.getLogger("httpcore").setLevel(logging.INFO)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host name, or the address itself; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def connections(
    destinations: Destinations, resolve: Resolve = resolve
) -> httpcore.AsyncConnectionPool:
    """A pool of connections; close it. No proxy is used.

    Its requests raise NotPermitted where `destinations` do not permit the host, or one of its
    addresses. Certificates are checked against those of the system (or SSL_CERT_FILE) and certifi.
    """
    context = await asyncio.to_thread(_tls)  # it reads files
    backend = _CheckedBackend(destinations, resolve)
    return httpcore.AsyncConnectionPool(ssl_context=context, network_backend=backend)


@cache
def _tls() -> SSLContext:
    return httpcore.default_ssl_context()


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens every connection of a pool."""

    def __init__(self, destinations: Destinations, resolve: Resolve) -> None:
        self._destinations = destinations
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; each has an equal share of the time."""
        addresses = await self._permitted(host, port, timeout)
        timeout_s = None if timeout is None else timeout / len(addresses)
        failures: list[Exception] = []
        for address in addresses:
            try:
                return await self._plain.connect_tcp(
                    address, port, timeout_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failures.append(error)
        raise failures[-1]

    async def _permitted(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        self._destinations.check_host(host, port)
        try:
            with anyio.fail_after(timeout_s):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout("its name was not resolved in time") from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("its name cannot be resolved") from None
        try:
            self._destinations.check_addresses(host, port, addresses)
        except NotPermitted:
            log.warning("address not permitted", extra={"host": host, "addresses": addresses})
            raise
        return addresses[:MOST_ADDRESSES]
