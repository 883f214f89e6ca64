"""Maps languages to EasyOCR's recognisers and to the characters that each may output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from easyocr import config

from gpu_workers.model import InvalidSpec

# The rule of `easyocr.Reader`: the first row that contains a requested language, else Latin.
FAMILIES: tuple[tuple[list[str], str], ...] = (
    (["th"], "thai_g1"),
    (["ch_tra"], "zh_tra_g1"),
    (["ch_sim"], "zh_sim_g2"),
    (["ja"], "japanese_g2"),
    (["ko"], "korean_g2"),
    (["ta"], "tamil_g1"),
    (["te"], "telugu_g2"),
    (["kn"], "kannada_g2"),
    (config.bengali_lang_list, "bengali_g1"),
    (config.arabic_lang_list, "arabic_g1"),
    (config.devanagari_lang_list, "devanagari_g1"),
    (config.cyrillic_lang_list, "cyrillic_g2"),
)
CHARACTER_FILES = Path(config.BASE_PATH, "character")


@dataclass(frozen=True)
class Script:
    """The alphabet of one of EasyOCR's recognisers, and the part of it that is requested.

    `generation` is gen1 or gen2; `ignored` are the classes that are in none of the languages.
    """

    filename: str
    generation: str
    characters: str
    ignored: list[int]
    right_to_left: bool


def script_for(languages: tuple[str, ...]) -> Script:
    """Select the recogniser for `languages`. Raises InvalidSpec if none reads all.

    The selection and the characters equal those of `easyocr.Reader`.
    """
    name = _name_for(languages)
    generation = "gen1" if name.endswith("_g1") else "gen2"
    model = config.recognition_models[generation][name]
    allowed = set(model["symbols"]).union(*map(_alphabet, languages))
    characters = model["characters"]
    return Script(
        filename=model["filename"],
        generation=generation,
        characters=characters,
        # Class 0 is the CTC blank.
        ignored=sorted(characters.index(char) + 1 for char in set(characters) - allowed),
        right_to_left=name == "arabic_g1",
    )


def _name_for(languages: tuple[str, ...]) -> str:
    known = supported_languages()
    unknown = sorted(set(languages) - set(known))
    if unknown or not languages:
        raise InvalidSpec(
            "languages",
            f"OCR cannot read {', '.join(unknown) or 'no language'}; "
            f"allowed are {', '.join(known)}.",
        )
    if languages == ("en",):
        return "english_g2"
    for family, name in FAMILIES:
        if set(languages) & set(family):
            strangers = sorted(set(languages) - {*family, "en"})
            if strangers:
                raise InvalidSpec(
                    "languages",
                    f"OCR cannot read {', '.join(languages)} together; "
                    f"allowed with each other are {', '.join([*family, 'en'])}.",
                )
            return name
    return "latin_g2"


def supported_languages() -> list[str]:
    """EasyOCR's codes of the languages whose alphabet is installed; EasyOCR lists more."""
    return sorted(lang for lang in config.all_lang_list if _alphabet_file(lang).exists())


def _alphabet(language: str) -> str:
    return "".join(_alphabet_file(language).read_text("utf-8-sig").splitlines())


def _alphabet_file(language: str) -> Path:
    return CHARACTER_FILES / f"{language}_char.txt"
