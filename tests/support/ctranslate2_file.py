"""Writes a Whisper model as CTranslate2's converter does, to convert it back."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

import numpy as np
from torch import Tensor

NUMBERS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
ALIAS = {"decoder/projection/weight": "decoder/embeddings/weight"}
# openai-whisper's names, but for those of the attention, and CTranslate2's.
RENAMED = {
    r"(encoder|decoder)\.blocks\.(\d+)\.": r"\1/layer_\2/",
    r"token_embedding\.": "embeddings/",
    r"\.positional_embedding$": "/position_encodings/encodings",
    r"ln_post\.|(?<=decoder\.)ln\.": "layer_norm/",
    r"cross_attn_ln\.": "attention/layer_norm/",
    r"attn_ln\.": "self_attention/layer_norm/",
    r"mlp_ln\.": "ffn/layer_norm/",
    r"mlp\.0\.": "ffn/linear_0/",
    r"mlp\.2\.": "ffn/linear_1/",
    r"cross_attn\.query\.": "attention/linear_0/",
    r"cross_attn\.out\.": "attention/linear_2/",
    r"attn\.out\.": "self_attention/linear_1/",
    r"\.": "/",
    r"layer_norm/weight": "layer_norm/gamma",
    r"layer_norm/bias": "layer_norm/beta",
}
STACKS = {
    "attn": ("self_attention/linear_0", ("query", "key", "value")),
    "cross_attn": ("attention/linear_1", ("key", "value")),
}
STACKED = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(attn|cross_attn)\.(query|key|value)\.")


def variables(state: Mapping[str, Tensor], heads: int) -> dict[str, np.ndarray]:
    """CTranslate2's variables of a Whisper model's state."""
    found: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        match = STACKED.match(name)
        if match and (match[3], match[4]) != ("cross_attn", "query"):
            side, layer, kind, _ = match.groups()
            target, parts = STACKS[kind]
            _stack(
                state,
                f"{side}.blocks.{layer}.{kind}",
                f"{side}/layer_{layer}/{target}",
                parts,
                found,
            )
        else:
            for pattern, other in RENAMED.items():
                name = re.sub(pattern, other, name)
            found[name] = tensor.numpy()
    for side in ("encoder", "decoder"):
        found[f"{side}/num_heads"] = np.int16(heads)
        found[f"{side}/activation"] = np.int8(3)
    return found


def _stack(
    state: Mapping[str, Tensor],
    source: str,
    target: str,
    parts: tuple[str, ...],
    found: dict[str, np.ndarray],
) -> None:
    weights = [state[f"{source}.{part}.weight"].numpy() for part in parts]
    none = np.zeros(len(weights[0]), weights[0].dtype)
    biases = [none if part == "key" else state[f"{source}.{part}.bias"].numpy() for part in parts]
    found[f"{target}/weight"] = np.concatenate(weights)
    found[f"{target}/bias"] = np.concatenate(biases)


def file_of(
    values: Mapping[str, np.ndarray],
    aliases: Mapping[str, str] = ALIAS,
    version: int = 6,
    spec: str = "WhisperSpec",
) -> bytes:
    """The bytes of a model.bin."""
    parts = [struct.pack("<I", version), _text(spec), struct.pack("<II", 3, len(values))]
    for name, value in values.items():
        array = np.asarray(value)
        parts += [_text(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        parts += [struct.pack("<BI", NUMBERS[array.dtype.name], array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", len(aliases))]
    parts += [text for pair in aliases.items() for text in map(_text, pair)]
    return b"".join(parts)


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"
