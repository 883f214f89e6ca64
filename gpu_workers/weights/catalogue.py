"""The catalogue of known models: where to download each file, and how to verify it."""

from pathlib import Path

import msgspec

PACKAGE = Path(__file__).parent


class Entry(msgspec.Struct, frozen=True):
    """A file of weights or labels.

    `url` is None for a file that ships in this package. `checksum` is "sha256:..." or "md5:..." as
    published upstream, or None if upstream publishes none; it is that of the file, not of its zip.
    `zip_member` is set if the URL is a zip. `size_bytes` is approximate, or None if unknown.
    """

    name: str
    task: str
    url: str | None
    licence: str
    size_bytes: int | None = None
    checksum: str | None = None
    zip_member: str | None = None


_MB = 10**6
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_FACE = "https://github.com/akanametov/yolo-face/releases/download/v0.0.0/yolov8n-face.pt"
_WHISPER = "https://openaipublic.azureedge.net/main/whisper/models/"
_EASYOCR = "https://github.com/JaidedAI/EasyOCR/releases/download/"
_PLACES = "http://places2.csail.mit.edu/models_places365/resnet18_places365.pth.tar"
_PLACES_TEXT = "https://raw.githubusercontent.com/CSAILVision/places365/master/"

_YOLO_SIZES_MB = {"n": 6.5, "s": 22.6, "m": 52.1, "l": 87.8, "x": 136.9}

# From whisper._MODELS: the sha256 is part of the URL.
_WHISPER_MODELS = {
    "tiny.en": ("d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03", 75),
    "tiny": ("65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9", 75),
    "base.en": ("25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead", 145),
    "base": ("ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e", 145),
    "small.en": ("f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872", 484),
    "small": ("9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794", 484),
    "medium.en": ("d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f", 1530),
    "medium": ("345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1", 1530),
    "large-v1": ("e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a", 3090),
    "large-v2": ("81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524", 3090),
    "large-v3": ("e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb", 3090),
    "large-v3-turbo": ("aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a", 1620),
}
_WHISPER_ALIASES = {"large": "large-v3.pt", "turbo": "large-v3-turbo.pt"}

# From easyocr.config, which cannot be imported without torch: the detector, and the recognizers
# that easyocr.Reader selects itself. File, release, MD5 of the file; the zip has the same name.
_EASYOCR_MODELS = (
    ("craft_mlt_25k.pth", "pre-v1.1.6", "2f8227d2def4037cdb3b34389dcf9ec1"),
    ("english_g2.pth", "v1.3", "5864788e1821be9e454ec108d61b887d"),
    ("latin_g2.pth", "v1.3", "469869130aad1a34e8f9086f4262bc59"),
    ("zh_sim_g2.pth", "v1.3", "b601ce7143293387d3ec4f41a66edc07"),
    ("japanese_g2.pth", "v1.3", "bad5146990ccb1272cb0908440fbe15e"),
    ("korean_g2.pth", "v1.3", "befecf7b1ca2fffb5af814a51443682d"),
    ("telugu.pth", "v1.2", "f7576012a3abe593950c47bfa1bd8ddc"),
    ("kannada.pth", "v1.2", "c240c97e4adb8773b53b3b3dec728627"),
    ("cyrillic_g2.pth", "v1.6.1", "19f85f43d9128a89ac21b8d6a06973fe"),
    ("thai.pth", "pre-v1.1.6", "40a06b563a2b3d7897e2d19df20dc709"),
    ("chinese.pth", "pre-v1.1.6", "dfba8e364cd98ed4fed7ad54d71e3965"),
    ("tamil.pth", "v1.1.7", "4b93972fdacdcdabe6d57097025d4dc2"),
    ("bengali.pth", "v1.1.8", "cea9e897e2c0576b62cbb1554997ce1c"),
    ("arabic.pth", "pre-v1.1.6", "993074555550e4e06a6077d55ff0449a"),
    ("devanagari.pth", "pre-v1.1.6", "db6b1f074fae3070f561675db908ac08"),
)


def _entries() -> list[Entry]:
    agpl, mit, cc_by = "AGPL-3.0", "MIT", "CC BY"
    return [
        *(
            Entry(f"yolov8{s}.pt", "objects", f"{_ULTRALYTICS}yolov8{s}.pt", agpl, int(mb * _MB))
            for s, mb in _YOLO_SIZES_MB.items()
        ),
        Entry("shapes.pt", "objects", None, agpl),
        Entry("yolov8n-face.pt", "faces", _FACE, "GPL-3.0", 6 * _MB),
        *(
            Entry(f"{n}.pt", "transcribe", f"{_WHISPER}{h}/{n}.pt", mit, mb * _MB, f"sha256:{h}")
            for n, (h, mb) in _WHISPER_MODELS.items()
        ),
        *(
            Entry(
                name=file,
                task="ocr",
                url=f"{_EASYOCR}{release}/{file.removesuffix('.pth')}.zip",
                licence="Apache-2.0",
                checksum=f"md5:{md5}",
                zip_member=file,
            )
            for file, release, md5 in _EASYOCR_MODELS
        ),
        Entry("resnet18_places365.pth.tar", "places", _PLACES, cc_by, 45_500_000),
        *(
            Entry(name, "places", _PLACES_TEXT + name, mit, 7000)
            for name in ("categories_places365.txt", "IO_places365.txt")
        ),
    ]


CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _entries()}

DEFAULTS = (
    "yolov8n.pt",
    "yolov8n-face.pt",
    "craft_mlt_25k.pth",
    "english_g2.pth",
    "base.pt",
    "resnet18_places365.pth.tar",
    "categories_places365.txt",
    "IO_places365.txt",
)


def find(name: str) -> Entry | None:
    """Return the entry with this file name or Whisper model name ("base"); None if unknown."""
    return CATALOGUE.get(_WHISPER_ALIASES.get(name, name)) or (
        CATALOGUE[f"{name}.pt"] if name in _WHISPER_MODELS else None
    )
