"""Which of EasyOCR's recognisers reads which languages, and which characters it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from easyocr import config

from gpu_workers.model import InvalidSpec

# As `easyocr.Reader` decides: the first row that holds a language asked for, else Latin.
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
    """What one of EasyOCR's recognisers was trained on, and how much of it is wanted.

    `generation` is gen1 or gen2, `ignored` the classes that belong to none of the languages.
    """

    filename: str
    generation: str
    characters: str
    ignored: list[int]
    right_to_left: bool


def script_for(languages: tuple[str, ...]) -> Script:
    """Choose the recogniser of `languages`; raises InvalidSpec where none reads them all.

    The choice and the characters are those of `easyocr.Reader`.
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
        # Class 0 is CTC's blank.
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
    """The languages, in EasyOCR's codes, whose alphabet is installed: it lists some without."""
    return sorted(lang for lang in config.all_lang_list if _alphabet_file(lang).exists())


def _alphabet(language: str) -> str:
    return "".join(_alphabet_file(language).read_text("utf-8-sig").splitlines())


def _alphabet_file(language: str) -> Path:
    return CHARACTER_FILES / f"{language}_char.txt"
