"""OCR in the front: what depends on the engine, and what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from server.analysis.hashes import config_hash
from server.tasks.ocr import Ocr, OcrOptions
from server.tasks.task import RunsOn


def options(**fields: Any) -> OcrOptions:
    return msgspec.convert(fields, OcrOptions)


def test_the_engine_joins_the_configuration_if_it_is_not_the_default() -> None:
    plain = {"frame_interval": 60, "languages": ["en"], "use_gpu": True}
    assert Ocr().config(options()) == Ocr().config(options(model_name="easyocr")) == plain
    rapid = Ocr().config(options(model_name="rapidocr"))
    assert rapid == plain | {"model_name": "rapidocr"}
    assert config_hash(rapid) != config_hash(plain)


@pytest.mark.parametrize("use_gpu", [True, False])
def test_rapidocr_runs_on_a_cpu_whatever_the_request_says(use_gpu: bool) -> None:
    assert Ocr().runs_on(options(model_name="rapidocr", use_gpu=use_gpu)) == RunsOn.CPU
    assert Ocr().runs_on(options(use_gpu=use_gpu)) == (RunsOn.DEVICE if use_gpu else RunsOn.CPU)


def test_the_engines_are_two_producers_and_two_models() -> None:
    easy, rapid = options(languages=["en", "de"]), options(language="de", model_name="rapidocr")
    assert Ocr().produced_by(easy) == ("easyocr", "easyocr")
    assert Ocr().produced_by(rapid) == ("rapidocr", "rapidocr")
    assert Ocr().model_key(easy) == "ocr/de+en"
    assert Ocr().model_key(rapid) == "ocr/rapidocr/de"
    assert Ocr().weights(easy)
    assert Ocr().weights(rapid) == ()
    assert Ocr().spec(rapid, [])["model_name"] == "rapidocr"
