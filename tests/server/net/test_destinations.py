"""Which hosts and addresses a setting permits."""

from __future__ import annotations

import pytest

from server.net.addresses import is_public, parsed
from server.net.destinations import NotPermitted, parser

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(parsed(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(parsed(address))


def refusal(setting: str, host: str, port: int, *addresses: str) -> str:
    """The reason why the setting does not permit the host with these addresses, or nothing."""
    destinations = parser("SOME_HOSTS")(setting)
    try:
        destinations.check_host(host, port)
        destinations.check_addresses(host, port, list(addresses))
    except NotPermitted as error:
        return str(error)
    return ""


def test_a_refusal_names_the_setting_and_no_address() -> None:
    assert "SOME_HOSTS" in refusal("a", "b", 80)
    reason = refusal("a", "a", 80, "10.0.0.5")
    assert "SOME_HOSTS" in reason
    assert "10.0.0.5" not in reason


ANY = "8.8.8.8"


@pytest.mark.parametrize(
    ("setting", "host", "port", "permitted"),
    [
        ("", "a", 80, False),
        ("a", "a", 80, True),
        ("a", "a", 443, True),
        ("a", "a", 8080, False),
        ("a", "b.a", 80, False),
        ("a", "a.", 80, False),
        (" A , b", "a", 80, True),
        ("a,b", "b", 80, True),
        ("a:8080", "a", 8080, True),
        ("a:8080", "a", 80, False),
        ("a,a:8080", "a", 80, True),
        ("2130706433", "127.0.0.1", 80, False),
    ],
)
def test_hosts_and_ports(setting: str, host: str, port: int, permitted: bool) -> None:
    assert (refusal(setting, host, port, ANY) == "") == permitted


@pytest.mark.parametrize(
    ("setting", "host", "addresses", "permitted"),
    [
        ("a", "a", [ANY, "127.0.0.1"], False),
        ("a", "a", [ANY, "2606:4700::1111"], True),
        ("a=10.0.0.5", "a", ["10.0.0.5"], True),
        ("a=10.0.0.5", "a", ["::ffff:10.0.0.5"], True),
        ("a=10.0.0.5", "a", ["10.0.0.6"], False),
        ("a=10.0.0.5", "a", [ANY], False),
        ("a=10.0.0.0/8", "a", ["10.9.8.7", "10.0.0.1"], True),
        ("a=10.0.0.0/8", "a", ["10.9.8.7", "fd00::1"], False),
        ("a=10.0.0.0/8,a=fd00::/8", "a", ["10.9.8.7", "fd00::1"], True),
        ("a,a=10.0.0.0/8", "a", ["10.9.8.7", ANY], True),
        ("a=10.0.0.0/8,b", "b", ["10.9.8.7"], False),
        ("a:80=10.0.0.0/8,a:81", "a", ["10.9.8.7"], True),
        ("a:80,a:81=10.0.0.0/8", "a", ["10.9.8.7"], False),
        ("10.0.0.5", "10.0.0.5", ["10.0.0.5"], True),
        ("10.0.0.5", "10.0.0.5", ["10.0.0.6"], False),
        ("[fd00::5]", "fd00::5", ["fd00::5"], True),
        ("[FD00:0::5]:80", "fd00::5", ["fd00::5"], True),
        ("2130706433", "2130706433", ["127.0.0.1"], False),
        ("0177.0.0.1", "0177.0.0.1", ["127.0.0.1"], False),
        ("127.1", "127.1", ["127.0.0.1"], False),
    ],
)
def test_addresses(setting: str, host: str, addresses: list[str], permitted: bool) -> None:
    assert (refusal(setting, host, 80, *addresses) == "") == permitted


@pytest.mark.parametrize(
    "setting",
    [
        "http://a",
        "a/b",
        "*.a",
        "a:0",
        "a:65536",
        "a:b",
        "a=",
        "a=b",
        "a=10.0.0.1/8",
        "10.0.0.5=10.0.0.0/8",
        "[::x]",
        "[a]",
        "::1",
        "a b",
        "u@a",
    ],
)
def test_entries_that_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="it must be a list of host names") as refusal:
        parser("SOME_HOSTS")(setting)
    assert "\n" not in str(refusal.value)
