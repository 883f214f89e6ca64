"""All errors of the API as problem documents (RFC 9457): codes, statuses, the exception."""

from __future__ import annotations

import msgspec

STATUS = {
    "invalid_json": 400,
    "video_not_found": 400,
    "input_hash_mismatch": 400,
    "unauthorized": 401,
    "path_not_allowed": 403,
    "address_not_allowed": 403,
    "origin_not_allowed": 403,
    "host_not_allowed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "upload_too_large": 413,
    "frame_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "undecodable_video": 422,
    "no_audio_stream": 422,
    "overloaded": 429,
    "internal_error": 500,
    "download_failed": 502,
    "model_unavailable": 503,
    "no_worker_ready": 503,
    "deadline_exceeded": 504,
    "insufficient_storage": 507,
}


class NotModified(Exception):
    """What the client has is what it would get: a response without a body, with this ETag."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class FieldError(msgspec.Struct, frozen=True):
    """One invalid field of a request."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error response, application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | None = None


class Problem(Exception):
    """A request, or a task of it, fails; `code` is a key of STATUS."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: list[FieldError] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        if code == "unauthorized":
            self.headers["WWW-Authenticate"] = "Bearer"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def document(self) -> ProblemDocument:
        """The body that the client receives."""
        title = self.code.replace("_", " ").capitalize()
        return ProblemDocument(
            f"urn:eioku:problem:{self.code}",
            title,
            self.status,
            self.detail,
            self.code,
            self.errors,
        )
