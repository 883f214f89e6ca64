"""URLs: one reading of each, and refusals that do not repeat them."""

from __future__ import annotations

import pytest

from server.net.web_address import BadAddress, WebAddress, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://a.example", WebAddress("http", "a.example", 80, "/")),
        ("HTTPS://A.Example/", WebAddress("https", "a.example", 443, "/")),
        ("https://a.example:8443/b/c.mp4", WebAddress("https", "a.example", 8443, "/b/c.mp4")),
        ("http://a.example?x=%2F+1", WebAddress("http", "a.example", 80, "/?x=%2F+1")),
        ("http://a.example/ä?ö#ü", WebAddress("http", "a.example", 80, "/%C3%A4?%C3%B6")),
        ("http://[::1]:81/", WebAddress("http", "::1", 81, "/")),
        ("http://[0:0::0:1]/", WebAddress("http", "::1", 80, "/")),
        ("http://0x7f.1/", WebAddress("http", "0x7f.1", 80, "/")),
        ("http://a/b;c=d,e?f;g:h@i", WebAddress("http", "a", 80, "/b;c=d,e?f;g:h@i")),
        ("http://a/../b", WebAddress("http", "a", 80, "/../b")),
    ],
)
def test_what_a_url_leads_to(url: str, address: WebAddress) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must start with"),
        ("clip.mp4", "must start with"),
        ("//a.example/secret", "must start with"),
        ("file:///etc/secret", "must start with"),
        ("ftp://a.example/secret", "must start with"),
        ("http:/a.example/secret", "host name"),
        ("http:///secret", "host name"),
        ("http://:80/secret", "host name"),
        ("http://user:pass@a.example/secret", "user name"),
        ("http://@a.example/secret", "user name"),
        ("http://a.example@b.example/secret", "user name"),
        ("http://a.example\\@b.example/secret", "backslash"),
        ("http://a.example/secret\r\nHost: b", "control"),
        ("http://a.example/se cret", "space"),
        (" http://a.example/secret", "space"),
        ("http://a.example:0/secret", "port"),
        ("http://a.example:65536/secret", "valid URL"),
        ("http://a.example:1x/secret", "valid URL"),
        ("http://[::1/secret", "valid URL"),
        ("http://[fe80::1%25eth0]/secret", "IPv6"),
        ("http://[v1.a]/secret", "IPv6"),
        ("http://bücher.example/secret", "ASCII"),
        ("http://a.example。b/secret", "ASCII"),
        ("http://a%2eexample/secret", "ASCII"),
        ("http://a℀b/secret", "valid URL"),
    ],
)
def test_what_is_refused(url: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason) as refusal:
        parse(url)
    assert "secret" not in str(refusal.value)


def test_an_origin_and_a_host_header_name_the_host_alone() -> None:
    assert parse("http://a.example/b?secret").origin == "http://a.example"
    assert parse("https://a.example:80/").authority == "a.example:80"
    assert parse("https://[::1]/").authority == "[::1]"
    assert parse("https://[::1]:444/").origin == "https://[::1]:444"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("c?d", "http://a.example:81/b/c?d"),
        ("/c", "http://a.example:81/c"),
        ("//b.example/c", "http://b.example/c"),
        ("https://b.example", "https://b.example/"),
        ("", "http://a.example:81/b/x?y"),
    ],
)
def test_redirects(location: str, url: str) -> None:
    assert parse("http://a.example:81/b/x?y").redirected(location) == parse(url)


@pytest.mark.parametrize("location", ["file:///a", "http://u@b/", "http://[", "http://b:99999/"])
def test_redirects_that_lead_nowhere(location: str) -> None:
    with pytest.raises(BadAddress):
        parse("http://a.example/").redirected(location)
