"""Whisper's timestamp rules, for all rows of a batch in parallel."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class TimestampRules:
    """The rules of `whisper.decoding.ApplyTimestampRules`, which loops over the rows.

    Per row, that loop costs several synchronisations on a GPU, or several multi-threaded calls on
    a CPU.
    """

    def __init__(self, rules: Any) -> None:
        """Copy the parameters of an ApplyTimestampRules."""
        self._begin: int = rules.sample_begin
        self._first: int = rules.tokenizer.timestamp_begin
        self._end_of_text: int = rules.tokenizer.eot
        self._no_timestamps: int = rules.tokenizer.no_timestamps
        self._last_initial: int = rules.max_initial_timestamp_index

    def apply(self, logits: Tensor, tokens: Tensor) -> None:
        """Set (rows, vocabulary) logits that may not follow (rows, length) tokens to -inf."""
        said = tokens[:, self._begin :]
        text, stamps = logits[:, : self._first], logits[:, self._first :]
        logits[:, self._no_timestamps] = -math.inf
        if said.shape[1] == 0:
            text.fill_(-math.inf)
            stamps[:, self._last_initial + 1 :] = -math.inf
            return
        # Timestamps come in pairs, except just before the end of the text.
        stamped = said >= self._first
        last = stamped[:, -1]
        before = stamped[:, -2] if said.shape[1] > 1 else torch.ones_like(last)
        opens = last & ~before
        stamps.masked_fill_((last & before)[:, None], -math.inf)
        logits[:, : self._end_of_text].masked_fill_(opens[:, None], -math.inf)
        # Timestamps never decrease, and no segment is empty.
        latest = said.where(stamped, self._first - 1).amax(1)
        lowest = latest + 1 - opens.long()
        ticks = torch.arange(stamps.shape[1], device=tokens.device) + self._first
        stamps.masked_fill_(ticks < lowest[:, None], -math.inf)
        # A timestamp is due if all timestamps together are more likely than any text token.
        due = stamps.logsumexp(1) > text.amax(1)
        text.masked_fill_(due[:, None], -math.inf)
