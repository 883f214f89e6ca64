"""Where a file can come from: its hub, or a mirror, which is a set of packages of the index."""

from urllib.parse import urlsplit

import msgspec


class Hub(msgspec.Struct, frozen=True):
    """The server on which a model's authors publish its file."""

    url: str

    @property
    def address(self) -> str:
        """What is remembered as unreachable."""
        return urlsplit(self.url).netloc

    @property
    def origin(self) -> str:
        """The source as provenance and logs name it."""
        return f"hub {self.address}"

    def __str__(self) -> str:
        return self.url


class Part(msgspec.Struct, frozen=True):
    """One file inside a wheel of the package index. Sizes are exact."""

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    size_bytes: int

    @property
    def requirement(self) -> str:
        """Package and version, as pip takes them."""
        return f"{self.package}=={self.version}"


class Mirror(msgspec.Struct, frozen=True):
    """Parts that are, one after the other, the file itself or what it is converted from.

    `converted_from` is the sha256 of the joined parts if they are a Whisper model of CTranslate2.
    """

    parts: tuple[Part, ...]
    converted_from: str = ""

    @property
    def address(self) -> str:
        """What is remembered as unreachable."""
        return " + ".join(part.requirement for part in self.parts)

    @property
    def origin(self) -> str:
        """The source as provenance and logs name it."""
        return f"mirror {self.address}" + (", converted" if self.converted_from else "")

    def __str__(self) -> str:
        return self.origin


Source = Hub | Mirror
