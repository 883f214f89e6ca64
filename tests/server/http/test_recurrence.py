"""How a refused request is recognised when it comes again."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from server.http.recurrence import recurrence_key

BODY = b'{"video_path": "clip.mp4"}'


def key(body: bytes = BODY, path: str = "/infer/objects", host: str = "h", **headers: str) -> str:
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "client": (host, 1),
        "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()],
    }
    return recurrence_key(Request(scope), body)


def test_the_same_request_has_the_same_key() -> None:
    assert key() == key()
    assert key(user_agent="a") == key(user_agent="b")


@pytest.mark.parametrize(
    "other", [{"body": b"{}"}, {"path": "/infer/faces"}, {"host": "i"}, {"content_length": "5"}]
)
def test_another_request_has_another_key(other: dict[str, str]) -> None:
    assert key(**other) != key()


def test_the_clients_own_id_is_the_key() -> None:
    assert key(x_request_id="of-mine") == key(body=b"", x_request_id="of-mine") == "of-mine"
    assert key(x_request_id="not valid!") == key()
