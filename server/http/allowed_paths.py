"""Which files a client may name."""

from __future__ import annotations

from pathlib import Path

from server.errors import Problem


def resolve(video_path: str, roots: tuple[str, ...]) -> Path:
    """The real file behind `video_path`, symlinks followed.

    Raises Problem: path_not_allowed outside `roots` (whether or not anything is there),
    video_not_found where there is no regular file.
    """
    try:
        path = Path(video_path).resolve()
        allowed = any(path.is_relative_to(root) for root in roots)
        if allowed and path.is_file():
            return path
    except (OSError, RuntimeError, ValueError) as error:
        raise Problem("video_not_found", f"{video_path!r} is no usable path: {error}.") from None
    if not allowed:
        raise Problem(
            "path_not_allowed",
            f"{video_path!r} lies outside the folders that this service reads from. Put the file "
            "into one of them, or have the operator add its folder to MEDIA_ROOTS.",
        )
    raise Problem("video_not_found", f"There is no file {video_path!r} on the service's machine.")
