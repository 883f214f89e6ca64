"""What to ask of a model. The first fields of each are what `config_hash` is made from."""

from __future__ import annotations

import msgspec


class ObjectsSpec(msgspec.Struct, frozen=True, tag="objects"):
    """YOLO: `model_profile` sets the size of the network's input, `classes` the labels kept."""

    model_name: str
    confidence_threshold: float
    model_profile: str
    classes: tuple[str, ...] | None = None


class FacesSpec(msgspec.Struct, frozen=True, tag="faces"):
    """YOLO trained on faces."""

    model_name: str
    confidence_threshold: float


class TranscribeSpec(msgspec.Struct, frozen=True, tag="transcribe"):
    """Whisper; `language` null means detect it."""

    model_name: str
    language: str | None
    vad_filter: bool
    word_timestamps: bool = False


class OcrSpec(msgspec.Struct, frozen=True, tag="ocr"):
    """EasyOCR: CRAFT, then the recogniser that reads all of `languages`."""

    languages: tuple[str, ...]
    confidence_threshold: float = 0.0


class PlacesSpec(msgspec.Struct, frozen=True, tag="places"):
    """Places365 ResNet-18."""

    top_k: int


class ScenesSpec(msgspec.Struct, frozen=True, tag="scenes"):
    """PySceneDetect's ContentDetector; `threshold` from 0 to 1, `min_scene_length` in seconds."""

    threshold: float
    min_scene_length: float


Spec = ObjectsSpec | FacesSpec | TranscribeSpec | OcrSpec | PlacesSpec | ScenesSpec


def task_of(spec: Spec) -> str:
    """The task's name, as in the route and in the registry of task modules."""
    return str(spec.__struct_config__.tag)


def model_key(spec: Spec) -> str:
    """What tells one resident model from another."""
    match spec:
        case ObjectsSpec() | FacesSpec() | TranscribeSpec():
            return f"{task_of(spec)}/{spec.model_name}"
        case OcrSpec():
            return f"ocr/{'+'.join(sorted(set(spec.languages)))}"
        case PlacesSpec() | ScenesSpec():
            return task_of(spec)
