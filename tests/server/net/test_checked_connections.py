"""Connections: the address that was checked is the one that is connected to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator

import httpcore
import pytest
from web_server import CERTIFICATE, WebServer, content, web_server

from server.net import checked_connections
from server.net.checked_connections import Resolve, connections
from server.net.destinations import NotPermitted, parser

DEADLINE_S = 60
NAME = "videos.test"
UNUSED = "127.0.0.2"  # nobody listens there at the web server's port


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        web.routes["/"] = content(b"here", Connection="close")
        yield web


class Names:
    """A resolver with prepared answers; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def get(
    setting: str, url: str, resolve: Resolve = checked_connections.resolve, times: int = 1
) -> list[bytes]:
    """The bodies of these many requests, over one pool."""

    async def run() -> list[bytes]:
        bodies = []
        async with await connections(parser("SOME_HOSTS")(setting), resolve) as pool:
            for _ in range(times):
                limits = {"connect": DEADLINE_S, "read": DEADLINE_S}
                answer = await pool.request("GET", url, extensions={"timeout": limits})
                bodies.append(answer.content)
        return bodies

    return asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_an_answer_that_changes_after_the_check_leads_nowhere_else(web: WebServer) -> None:
    """If the name were resolved once more to connect, the connection would be refused."""
    names = Names(["127.0.0.1"], [UNUSED])
    assert get(f"{NAME}:{web.port}=127.0.0.1", f"http://{NAME}:{web.port}", names) == [b"here"]
    assert names.asked == [NAME]


def test_an_answer_that_changes_before_another_connection_is_checked_again(web: WebServer) -> None:
    names = Names([UNUSED], ["127.0.0.1"])
    setting = f"{NAME}:{web.port}={UNUSED}"
    with pytest.raises(httpcore.ConnectError):
        get(setting, f"http://{NAME}:{web.port}", names)
    with pytest.raises(NotPermitted):
        get(setting, f"http://{NAME}:{web.port}", names)
    assert web.requests == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["127.0.0.1", "93.184.215.14"],
        ["169.254.169.254"],
        ["fe80::1%lo"],
    ],
)
def test_a_name_that_leads_to_an_address_that_is_not_public(
    addresses: list[str], web: WebServer
) -> None:
    with pytest.raises(NotPermitted, match="SOME_HOSTS"):
        get(f"{NAME}:{web.port}", f"http://{NAME}:{web.port}", Names(addresses))
    assert web.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0"])
def test_other_spellings_of_a_loopback_address(host: str, web: WebServer) -> None:
    """The system's resolver knows them, so this is also a test of the true one."""
    url = f"http://{host}:{web.port}"
    with pytest.raises(NotPermitted, match="does not list"):
        get(f"127.0.0.1:{web.port}", url)
    with pytest.raises(NotPermitted, match="leads to an address"):
        get(f"{host}:{web.port}", url)
    assert web.requests == []


def test_a_name_that_is_not_listed_is_not_even_resolved() -> None:
    names = Names(["127.0.0.1"])
    with pytest.raises(NotPermitted, match="does not list"):
        get("other.test", f"http://{NAME}", names)
    assert names.asked == []


def test_the_next_address_is_tried(web: WebServer) -> None:
    names = Names([UNUSED, "127.0.0.1"])
    setting = f"{NAME}:{web.port}=127.0.0.0/8"
    assert get(setting, f"http://{NAME}:{web.port}", names) == [b"here"]
    assert web.headers("host") == [f"{NAME}:{web.port}"]


def loopback_addresses() -> list[str]:
    """Those of this machine: not every one has IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", loopback_addresses())
def test_an_address_that_is_listed_itself(host: str) -> None:
    with web_server(host) as web:
        web.routes["/"] = content(b"here")
        authority = web.url.removeprefix("http://")
        assert get(authority, web.url) == [b"here"]
        mapped = f"http://[::ffff:127.0.0.1]:{web.port}"
        with pytest.raises(NotPermitted, match="does not list"):
            get(authority, mapped)
    assert len(web.requests) == 1


def test_a_resolver_that_hangs() -> None:
    async def hang(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        async with await connections(parser("SOME_HOSTS")(NAME), hang) as pool:
            await pool.request("GET", f"http://{NAME}", extensions={"timeout": {"connect": 0.01}})

    with pytest.raises(httpcore.ConnectTimeout):
        asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_a_name_that_does_not_exist() -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(httpcore.ConnectError, match="cannot be resolved"):
        get(NAME, f"http://{NAME}", fail)


def test_no_proxy_of_the_environment_is_used(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", f"http://{UNUSED}:{web.port}")
    assert get(f"127.0.0.1:{web.port}", web.url) == [b"here"]


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=CERTIFICATE)
    monkeypatch.setattr(checked_connections, "_tls", lambda: context)


def test_the_certificate_is_that_of_the_name(trusted: None) -> None:
    names = Names(["127.0.0.1"])
    with web_server(tls=True) as web:
        web.routes["/"] = content(b"here")
        setting = f"{NAME}:{web.port}=127.0.0.1,other.test:{web.port}=127.0.0.1"
        assert get(setting, f"https://{NAME}:{web.port}", names) == [b"here"]
        with pytest.raises(httpcore.ConnectError, match="Hostname mismatch"):
            get(setting, f"https://other.test:{web.port}", names)
        assert web.headers("host") == [f"{NAME}:{web.port}"]


def test_a_certificate_that_nobody_vouches_for() -> None:
    with web_server(tls=True) as web:
        web.routes["/"] = content(b"here")
        with pytest.raises(httpcore.ConnectError, match=r"self.signed"):
            get(f"127.0.0.1:{web.port}", web.url)
        assert web.requests == []
