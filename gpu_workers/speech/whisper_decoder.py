"""Whisper's batched step-by-step decoder: the same numbers as `whisper.decode`, but faster.

`whisper.decoding.DecodingTask` keeps the token rules; the layers are the model's own. Differences
from `whisper.decoding.PyTorchInference`, on a CPU:

- Keys and values are stored per head, the layout in which attention reads them. Reading the audio's
  1500 positions again, in every layer at each step, takes half the time.
- The product with the token embedding table is transposed, which halves its time in MKL.
- Finished rows are removed from the batch.
- The model gets no hooks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Cache = tuple[Tensor, Tensor]  # keys and values, (rows, heads, positions, 64)


class BatchInference:
    """Replaces a DecodingTask's `inference` for one call of its `run`, with greedy decoding."""

    def __init__(self, decoder: Any, features: Tensor, end_token: int) -> None:
        """`features` are the encoder's, (rows, 1500, width); `end_token` ends a row's text."""
        self._decoder = decoder
        self._end_token = end_token
        self._table = decoder.token_embedding.weight.to(features.dtype)
        self._dtype = features.dtype
        self._audio = [_key_values(block.cross_attn, features) for block in decoder.blocks]
        self._text: list[Cache] = []
        self._rows = torch.arange(len(features), device=features.device)

    def logits(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Logits after (rows, length) tokens: (rows, 1, vocabulary); those of ended rows are void.

        The first call returns logits at every position, since the first one gives the no-speech
        probability. `features` must be those passed to the constructor.
        """
        if not self._text:
            return self._forward(tokens, 0)
        self._drop_ended(tokens[:, -1] == self._end_token)
        fresh = self._forward(tokens[self._rows, -1:], tokens.shape[1] - 1)
        if len(fresh) == len(tokens):
            return fresh
        return fresh.new_zeros(len(tokens), *fresh.shape[1:]).index_copy_(0, self._rows, fresh)

    def cleanup_caching(self) -> None:
        """Release the keys and values."""
        self._audio, self._text = [], []

    def _drop_ended(self, ended: Tensor) -> None:
        """Drop ended rows once they are half or more: dropping copies the remaining ones."""
        going = (~ended[self._rows]).nonzero()[:, 0]
        if len(going) * 2 > len(self._rows):
            return
        self._rows = self._rows[going]
        self._audio = [(keys[going], values[going]) for keys, values in self._audio]
        self._text = [(keys[going], values[going]) for keys, values in self._text]

    def _forward(self, tokens: Tensor, position: int) -> Tensor:
        """Logits after each of (rows, n) tokens, the first of which is at `position`."""
        decoder = self._decoder
        places = decoder.positional_embedding[position : position + tokens.shape[1]]
        x = (decoder.token_embedding(tokens) + places).to(self._dtype)
        text = []
        for i, block in enumerate(decoder.blocks):
            normal = block.attn_ln(x)
            text.append(_key_values(block.attn, normal, self._text[i] if self._text else None))
            x = x + _attend(block.attn, normal, text[i], causal=not self._text)
            x = x + _attend(block.cross_attn, block.cross_attn_ln(x), self._audio[i])
            x = x + block.mlp(block.mlp_ln(x))
        self._text = text
        flat = decoder.ln(x).flatten(0, 1)
        logits: Tensor = (self._table @ flat.T).T
        return logits.view(*tokens.shape, -1).float()


class Encoded:
    """A Whisper for `whisper.timing` that takes encoder features instead of a spectrogram.

    This aligns words without encoding the window again.
    """

    def __init__(self, net: Any) -> None:
        self.decoder, self.dims, self.device = net.decoder, net.dims, net.device
        self.alignment_heads = net.alignment_heads

    def __call__(self, features: Tensor, tokens: Tensor) -> Tensor:
        logits: Tensor = self.decoder(tokens, features)
        return logits


def _key_values(layer: Any, x: Tensor, before: Cache | None = None) -> Cache:
    """Append the keys and values of (rows, positions, width) to those in `before`."""
    keys, values = _heads(layer, layer.key(x)), _heads(layer, layer.value(x))
    if before is None:
        return keys.contiguous(), values.contiguous()
    return torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)


def _attend(layer: Any, x: Tensor, cache: Cache, *, causal: bool = False) -> Tensor:
    query = _heads(layer, layer.query(x))
    attended = functional.scaled_dot_product_attention(query, *cache, is_causal=causal)
    out: Tensor = layer.out(attended.transpose(1, 2).flatten(2))
    return out


def _heads(layer: Any, x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], layer.n_head, -1).transpose(1, 2)
