"""A CTranslate2 conversion of Whisper is turned back, bit by bit, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ctranslate2_file import file_of, variables

from gpu_workers.weights.whisper_conversion import convert

DIMS = {
    "n_mels": 80,
    "n_audio_ctx": 12,
    "n_audio_state": 8,
    "n_audio_head": 2,
    "n_audio_layer": 2,
    "n_vocab": 30,
    "n_text_ctx": 10,
    "n_text_state": 8,
    "n_text_head": 2,
    "n_text_layer": 3,
}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Those of a small Whisper model, in half precision, all different."""
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(1)
    tensors = Whisper(ModelDimensions(**DIMS)).state_dict()
    return {name: torch.randn(tensor.shape).half() for name, tensor in tensors.items()}


def converted(tmp_path: Path, content: bytes) -> dict[str, object]:
    (tmp_path / "model.bin").write_bytes(content)
    convert(tmp_path / "model.bin", tmp_path / "model.pt")
    found: dict[str, object] = torch.load(tmp_path / "model.pt", weights_only=True)
    return found


def test_every_value_is_where_it_was(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    found = converted(tmp_path, file_of(variables(state, heads=2)))
    assert found["dims"] == DIMS
    tensors = found["model_state_dict"]
    assert isinstance(tensors, dict)
    assert set(tensors) == set(state)
    for name, tensor in state.items():
        assert tensors[name].dtype == torch.float16
        assert torch.equal(tensors[name], tensor), name


def test_whisper_loads_it(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    import whisper

    converted(tmp_path, file_of(variables(state, heads=2)))
    model = whisper.load_model(str(tmp_path / "model.pt"), device="cpu")
    assert torch.equal(model.decoder.ln.bias, state["decoder.ln.bias"].float())


def test_the_same_bytes_every_time(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    content = file_of(variables(state, heads=2))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        converted(tmp_path / name, content)
    one, other = (tmp_path / name / "model.pt" for name in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"decoder/extra/weight": np.zeros((2, 2), np.float16)}, "has no place in Whisper"),
        ({"encoder/activation": np.int8(0)}, "encoder/activation has no place"),
        ({"decoder/layer_0/self_attention/linear_0/bias": np.ones(24, np.float16)}, "for its key"),
    ],
)
def test_a_model_that_is_no_whisper_is_refused(
    tmp_path: Path, state: dict[str, torch.Tensor], change: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        converted(tmp_path, file_of(variables(state, heads=2) | change))


def test_a_missing_variable_is_named(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    found = variables(state, heads=2)
    del found["decoder/layer_1/ffn/linear_0/bias"]
    with pytest.raises(ValueError, match="no decoder/layer_1/ffn/linear_0/bias"):
        converted(tmp_path, file_of(found))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (file_of({}, version=7), "binary version 7"),
        (file_of({}, spec="TransformerSpec"), "not a WhisperSpec"),
        (file_of({}, aliases={}), "not tied"),
        (file_of({}) + b"x", "past its end"),
        (file_of({})[:-1], "ends early"),
        (b"", "ends early"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        converted(tmp_path, content)
