"""Checks which files a client may read."""

from __future__ import annotations

from pathlib import Path

from server.errors import Problem


def resolve(video_path: str, roots: tuple[str, ...]) -> Path:
    """Return the real file behind `video_path`, with symlinks resolved.

    Raises Problem: path_not_allowed outside `roots` (whether or not the file exists),
    video_not_found if there is no regular file.
    """
    try:
        path = Path(video_path).resolve()
        allowed = any(path.is_relative_to(root) for root in roots)
        if allowed and path.is_file():
            return path
    except (OSError, RuntimeError, ValueError) as error:
        raise Problem("video_not_found", f"{video_path!r} is not a usable path: {error}.") from None
    if not allowed:
        raise Problem(
            "path_not_allowed",
            f"{video_path!r} is outside the folders that this service may read. Move the file "
            "into one of them, or ask the operator to add its folder to MEDIA_ROOTS.",
        )
    raise Problem("video_not_found", f"There is no file {video_path!r} on the service's machine.")
