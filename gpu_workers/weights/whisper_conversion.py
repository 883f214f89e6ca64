"""Turns a CTranslate2 conversion of Whisper back into a checkpoint of openai-whisper.

The values are moved, never computed: CTranslate2 stacks the projections of query, key and value in
one matrix, and here they are cut apart again. The format is that of CTranslate2's
`python/ctranslate2/specs/model_spec.py`, binary version 6.
"""

import re
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

Values = npt.NDArray[np.generic]

FORMAT_VERSION = 6
# CTranslate2's numbers of element types.
ELEMENT_TYPES: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.float16,
}
# Scalars that say how CTranslate2 runs the model, with the values that mean "as in Whisper"; None:
# any value.
SETTINGS = {
    "num_heads": None,
    "alignment_layer": None,
    "activation": 3,  # GELU
    "pre_norm": 1,
    "alibi": 0,
    "alibi_use_positive_positions": 0,
    "scale_alibi": 0,
    "scale_embeddings": 0,
    "start_from_zero_embedding": 0,
}
EMBEDDINGS = "decoder/embeddings/weight"


def convert(source: Path, target: Path) -> None:
    """Write the checkpoint that `whisper.load_model` loads; raises ValueError."""
    variables, aliases = read_variables(source.read_bytes())
    if aliases != {"decoder/projection/weight": EMBEDDINGS}:
        raise ValueError(f"the output projection is not tied to the embeddings: {aliases}")
    dims, state = to_whisper(variables)
    tensors = {name: torch.from_numpy(values.copy()) for name, values in state.items()}
    with open(target, "wb") as file:  # given a path, torch would store the file's name
        torch.save({"dims": dims, "model_state_dict": tensors}, file)


class Reader:
    """Reads little-endian fields one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Return the next `size` bytes."""
        piece = self._content[self._at : self._at + size]
        if len(piece) != size:
            raise ValueError("the file ends early")
        self._at += size
        return piece

    def number(self, code: str) -> int:
        """Return the next number; `code` is that of the struct module."""
        value: int = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]
        return value

    def text(self) -> str:
        """Return the next string."""
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()

    @property
    def at_end(self) -> bool:
        """Whether all is read."""
        return self._at == len(self._content)


def read_variables(content: bytes) -> tuple[dict[str, Values], dict[str, str]]:
    """Return the variables of a model.bin by name, and other names of some of them."""
    reader = Reader(content)
    if (version := reader.number("I")) != FORMAT_VERSION:
        raise ValueError(f"it has the binary version {version}, not {FORMAT_VERSION}")
    if (spec := reader.text()) != "WhisperSpec":
        raise ValueError(f"it is a {spec}, not a WhisperSpec")
    reader.number("I")  # the revision of the specification
    variables = dict(_variable(reader) for _ in range(reader.number("I")))
    aliases = {reader.text(): reader.text() for _ in range(reader.number("I"))}
    if not reader.at_end:
        raise ValueError("it has bytes past its end")
    return variables, aliases


def _variable(reader: Reader) -> tuple[str, Values]:
    name = reader.text()
    shape = [reader.number("I") for _ in range(reader.number("B"))]
    number = reader.number("B")
    if number not in ELEMENT_TYPES:
        raise ValueError(f"{name} has elements of the unknown type {number}")
    values = np.frombuffer(reader.take(reader.number("I")), ELEMENT_TYPES[number])
    return name, values.reshape(shape)


class Move:
    """Moves each variable exactly once; what is left at the end must be settings."""

    def __init__(self, variables: dict[str, Values]) -> None:
        self._left = dict(variables)
        self.state: dict[str, Values] = {}

    def one(self, source: str, target: str) -> None:
        """A single variable."""
        self.state[target] = self._pop(source)

    def linear(self, source: str, target: str) -> None:
        """A weight and a bias."""
        self.one(f"{source}/weight", f"{target}.weight")
        self.one(f"{source}/bias", f"{target}.bias")

    def norm(self, source: str, target: str) -> None:
        """A layer norm."""
        self.one(f"{source}/gamma", f"{target}.weight")
        self.one(f"{source}/beta", f"{target}.bias")

    def stack(self, source: str, target: str, names: tuple[str, ...]) -> None:
        """Linear layers in one; the key has no bias of its own in Whisper."""
        weights = np.split(self._pop(f"{source}/weight"), len(names))
        biases = np.split(self._pop(f"{source}/bias"), len(names))
        for name, weight, bias in zip(names, weights, biases, strict=True):
            self.state[f"{target}.{name}.weight"] = weight
            if name != "key":
                self.state[f"{target}.{name}.bias"] = bias
            elif np.any(bias):
                raise ValueError(f"{source} has a bias for its key")

    def block(self, source: str, target: str, *, cross: bool) -> None:
        """One layer of the encoder or the decoder."""
        own, other = f"{source}/self_attention", f"{source}/attention"
        self.norm(f"{own}/layer_norm", f"{target}.attn_ln")
        self.stack(f"{own}/linear_0", f"{target}.attn", ("query", "key", "value"))
        self.linear(f"{own}/linear_1", f"{target}.attn.out")
        if cross:
            self.norm(f"{other}/layer_norm", f"{target}.cross_attn_ln")
            self.linear(f"{other}/linear_0", f"{target}.cross_attn.query")
            self.stack(f"{other}/linear_1", f"{target}.cross_attn", ("key", "value"))
            self.linear(f"{other}/linear_2", f"{target}.cross_attn.out")
        self.norm(f"{source}/ffn/layer_norm", f"{target}.mlp_ln")
        self.linear(f"{source}/ffn/linear_0", f"{target}.mlp.0")
        self.linear(f"{source}/ffn/linear_1", f"{target}.mlp.2")

    def settings(self) -> dict[str, Values]:
        """Return the scalars that are left; anything else is an error."""
        for name, value in self._left.items():
            key = name.rsplit("/", 1)[-1]
            if key == "alignment_heads":  # whisper knows them by the model's name
                continue
            if value.ndim or key not in SETTINGS or SETTINGS[key] not in (None, value):
                raise ValueError(f"{name} has no place in Whisper")
        return self._left

    def _pop(self, name: str) -> Values:
        if name not in self._left:
            raise ValueError(f"it has no {name}")
        return self._left.pop(name)


def to_whisper(variables: dict[str, Values]) -> tuple[dict[str, int], dict[str, Values]]:
    """Return the dimensions and the state of the model of openai-whisper."""
    move = Move(variables)
    move.one(EMBEDDINGS, "decoder.token_embedding.weight")
    layers = {side: _layers(variables, side) for side in ("encoder", "decoder")}
    for side, count in layers.items():
        move.one(f"{side}/position_encodings/encodings", f"{side}.positional_embedding")
        for i in range(count):
            move.block(f"{side}/layer_{i}", f"{side}.blocks.{i}", cross=side == "decoder")
    move.norm("encoder/layer_norm", "encoder.ln_post")
    move.norm("decoder/layer_norm", "decoder.ln")
    for conv in ("conv1", "conv2"):
        move.linear(f"encoder/{conv}", f"encoder.{conv}")
    heads = move.settings()
    return _dims(move.state, heads, layers), move.state


def _layers(variables: dict[str, Values], side: str) -> int:
    found = (re.match(rf"{side}/layer_(\d+)/", name) for name in variables)
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _dims(
    state: dict[str, Values], heads: dict[str, Values], layers: dict[str, int]
) -> dict[str, int]:
    """Return the fields of `whisper.model.ModelDimensions`."""
    n_vocab, width = state["decoder.token_embedding.weight"].shape
    return {
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_audio_ctx": len(state["encoder.positional_embedding"]),
        "n_audio_state": width,
        "n_audio_head": int(heads["encoder/num_heads"]),
        "n_audio_layer": layers["encoder"],
        "n_vocab": n_vocab,
        "n_text_ctx": len(state["decoder.positional_embedding"]),
        "n_text_state": width,
        "n_text_head": int(heads["decoder/num_heads"]),
        "n_text_layer": layers["decoder"],
    }
