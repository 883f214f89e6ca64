"""Whisper's decoder, step by step for a batch: the numbers of `whisper.decode`, sooner.

`whisper.decoding.DecodingTask` keeps the rules of what may be said; the layers are the model's own.
What differs from `whisper.decoding.PyTorchInference`, on a CPU:

- Keys and values lie head by head, as attention reads them. What a window sounds like, 1500
  positions in every layer, is read again at each step: in half the time.
- The product with the table of all tokens is the other way round, which takes MKL half the time.
- Rows that have come to their end are dropped from the batch.
- No hooks are put into the model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Cache = tuple[Tensor, Tensor]  # keys and values, (rows, heads, positions, 64)


class BatchInference:
    """Takes the place of a DecodingTask's `inference`; for one call of its `run`, greedy."""

    def __init__(self, decoder: Any, features: Tensor, end_token: int) -> None:
        """`features` are the encoder's, (rows, 1500, width); `end_token` ends a row's text."""
        self._decoder = decoder
        self._end_token = end_token
        self._table = decoder.token_embedding.weight.to(features.dtype)
        self._dtype = features.dtype
        self._sound = [_key_values(block.cross_attn, features) for block in decoder.blocks]
        self._text: list[Cache] = []
        self._rows = torch.arange(len(features), device=features.device)

    def logits(self, tokens: Tensor, features: Tensor) -> Tensor:
        """What may follow (rows, length) tokens: (rows, 1, tokens known); an ended row's are void.

        The first call gives logits at every position, as no-speech is read off the first. The
        features are those that it was made with.
        """
        if not self._text:
            return self._forward(tokens, 0)
        self._drop_ended(tokens[:, -1] == self._end_token)
        fresh = self._forward(tokens[self._rows, -1:], tokens.shape[1] - 1)
        if len(fresh) == len(tokens):
            return fresh
        return fresh.new_zeros(len(tokens), *fresh.shape[1:]).index_copy_(0, self._rows, fresh)

    def cleanup_caching(self) -> None:
        """Let go of the keys and values."""
        self._sound, self._text = [], []

    def _drop_ended(self, ended: Tensor) -> None:
        """Go on without the rows that ended, once they are half: dropping copies the others."""
        going = (~ended[self._rows]).nonzero()[:, 0]
        if len(going) * 2 > len(self._rows):
            return
        self._rows = self._rows[going]
        self._sound = [(keys[going], values[going]) for keys, values in self._sound]
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
            x = x + _attend(block.cross_attn, block.cross_attn_ln(x), self._sound[i])
            x = x + block.mlp(block.mlp_ln(x))
        self._text = text
        flat = decoder.ln(x).flatten(0, 1)
        logits: Tensor = (self._table @ flat.T).T
        return logits.view(*tokens.shape, -1).float()


class Encoded:
    """A Whisper for `whisper.timing` to which features are given in place of a spectrogram.

    So words are aligned without encoding the window again.
    """

    def __init__(self, net: Any) -> None:
        self.decoder, self.dims, self.device = net.decoder, net.dims, net.device
        self.alignment_heads = net.alignment_heads

    def __call__(self, features: Tensor, tokens: Tensor) -> Tensor:
        logits: Tensor = self.decoder(tokens, features)
        return logits


def _key_values(layer: Any, x: Tensor, before: Cache | None = None) -> Cache:
    """The keys and values of (rows, positions, width), behind those `before`."""
    keys, values = _heads(layer, layer.key(x)), _heads(layer, layer.value(x))
    if before is None:
        return keys.contiguous(), values.contiguous()
    return torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)


def _attend(layer: Any, x: Tensor, cache: Cache, *, causal: bool = False) -> Tensor:
    query = _heads(layer, layer.query(x))
    heard = functional.scaled_dot_product_attention(query, *cache, is_causal=causal)
    out: Tensor = layer.out(heard.transpose(1, 2).flatten(2))
    return out


def _heads(layer: Any, x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], layer.n_head, -1).transpose(1, 2)
