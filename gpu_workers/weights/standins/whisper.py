"""Stand-in Whisper checkpoints: a small hand-wired automaton within seeded random weights.

Random weights never end a sentence. So a few embedding dimensions are wired to make the decoder
walk "timestamp, three words, timestamp" through the window; the audio determines the words.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu_workers.weights.standins.calibration import save

SIZES = {"tiny": (384, 6, 4), "base": (512, 8, 6)}  # width, heads, layers
STEP = 25  # distance of two timestamps, about, in ticks of 20 ms
TICKS = 1500
LAST_TICK = 700  # transcripts end here, to keep tests short
FREQUENCIES = [2 * math.pi / (4000 / 2**i) for i in range(8)]

# The wired dimensions of the residual stream; all others hold random numbers.
WORDS = [0, 1, 2]  # the three word positions of a segment
STAMP = 3  # this token is a timestamp
LANGUAGE = 4
REFUSED = 5  # a token that must not be output
POSITION = 6
CODE = list(range(8, 24))  # a timestamp's tick, as sines and cosines
TARGET = list(range(24, 40))  # the tick of the next timestamp
FREE = 40


def make_whisper(path: Path, size: str, seed: int) -> None:
    """Write a checkpoint that `whisper.load_model` loads; `size` is "tiny" or "base"."""
    from whisper.model import ModelDimensions, Whisper

    width, heads, layers = SIZES[size]
    dims = ModelDimensions(
        80, TICKS, width, heads, layers, n_vocab=51865,
        n_text_ctx=448, n_text_state=width, n_text_head=heads, n_text_layer=layers,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Whisper(dims).eval()
    with torch.no_grad():
        _wire_encoder(model.encoder)
        _wire_embeddings(model.decoder)
        for block in model.decoder.blocks:
            _keep_off_wires(block)
        _wire_last_timestamp(model.decoder.blocks[0].attn)
        _wire_next_token(model.decoder.blocks[-1].mlp, width)
        _undo_norm(model)
        _wire_output(model.decoder.ln, width)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save({"dims": vars(dims), "model_state_dict": state}, path)


def _tick_code(ticks: Tensor) -> Tensor:
    """Return the code of each tick, (n,) -> (n, 16); shifting a tick rotates its code."""
    angles = ticks[:, None] * torch.tensor(FREQUENCIES)
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)


def _wire_encoder(encoder: Any) -> None:
    """Let the audio dominate the positional code, and let the first layers keep its variety."""
    encoder.conv1.weight.mul_(6)
    encoder.conv2.weight.mul_(6)


def _wire_embeddings(decoder: Any) -> None:
    """Give every token its wired dimensions; all rows get mean 0 and the same norm."""
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(multilingual=True, num_languages=99, language="en")
    table = decoder.token_embedding.weight
    n_vocab, width = table.shape
    table.normal_()
    wires = torch.zeros(n_vocab, FREE)
    wires[:, REFUSED] = 4
    words = _plain_words(tokenizer)
    for place, dim in enumerate(WORDS):
        wires[words[place :: len(WORDS)], REFUSED] = 0
        wires[words[place :: len(WORDS)], dim] = 4
    first = tokenizer.timestamp_begin
    wires[first:, STAMP] = 4
    wires[first:, CODE] = 2 * _tick_code(torch.arange(float(n_vocab - first)))
    # The prompt's last token counts as a timestamp one step before zero, the end-of-text token as
    # one after the last timestamp: so a transcript starts at 0 s and ends near 14 s.
    wires[tokenizer.transcribe, STAMP] = 4
    wires[tokenizer.transcribe, CODE] = 2 * _tick_code(torch.tensor([-float(STEP)]))[0]
    wires[tokenizer.eot, CODE] = 2.4 * _tick_code(torch.tensor([LAST_TICK + STEP / 2]))[0]
    wires[[tokenizer.transcribe, tokenizer.eot], REFUSED] = 0
    wires[first : first + LAST_TICK, REFUSED] = 0
    wires[list(tokenizer.all_language_tokens), LANGUAGE] = 2
    wires[tokenizer.to_language_token("en"), LANGUAGE] = 4
    table[:, :FREE] = wires
    free = table[:, FREE:]
    free.sub_((free.sum(1) + wires.sum(1))[:, None] / (width - FREE))
    room = width - wires.square().sum(1)
    free.mul_((room / free.square().sum(1)).sqrt()[:, None])
    decoder.positional_embedding.zero_()
    decoder.positional_embedding[:, POSITION] = torch.linspace(
        -4, 4, len(decoder.positional_embedding)
    )


def _plain_words(tokenizer: Any) -> list[int]:
    """Return, in order, the tokens that decode to a space and a lower-case English word."""
    return [
        token
        for token in range(tokenizer.eot)
        if (text := tokenizer.encoding.decode_single_token_bytes(token)).startswith(b" ")
        and 4 <= len(text) <= 8
        and text[1:].isalpha()
        and text[1:].islower()
    ][:1800]


def _keep_off_wires(block: Any) -> None:
    """Restrict the random layers' output to the free dimensions."""
    for layer in (block.attn.out, block.cross_attn.out, block.mlp[2]):
        layer.weight[:FREE] = 0
        layer.bias[:FREE] = 0
    # Sharpen the attention; otherwise 1500 audio frames average out to nothing.
    block.attn.out.weight.mul_(2)
    block.cross_attn.query.weight.mul_(6)
    block.cross_attn.key.weight.mul_(6)


def _wire_last_timestamp(attn: Any) -> None:
    """Make head 0 find the latest timestamp and write the next one's tick to TARGET."""
    head = slice(0, 64)
    for layer in (attn.query, attn.key, attn.value):
        layer.weight[head] = 0
    attn.query.bias[head] = 0
    attn.value.bias[head] = 0
    attn.query.bias[0] = 8 * 8  # undoes the division by sqrt(64)
    attn.key.weight[0, POSITION] = 448 / 8 / 8  # each later position scores 1 more
    attn.key.weight[0, STAMP] = 24 / 4 / 8
    for i, frequency in enumerate(FREQUENCIES):
        cos, sin = math.cos(STEP * frequency), math.sin(STEP * frequency)
        pair = torch.tensor([[cos, -sin], [sin, cos]])
        attn.value.weight[2 * i : 2 * i + 2, CODE[2 * i : 2 * i + 2]] = pair
    attn.out.weight[:, head] = 0
    attn.out.weight[TARGET, range(len(TARGET))] = 1


def _wire_next_token(mlp: Any, width: int) -> None:
    """Replace the current token by its successor.

    The layer adds P x - x. gelu(z) - gelu(-z) = z makes a linear map of two rows of hidden units.
    """
    change = torch.zeros(width, width)
    turn = torch.linalg.qr(torch.randn(width - FREE, width - FREE))[0]
    change[FREE:, FREE:] = turn
    for current, following in zip([STAMP, *WORDS], [*WORDS, STAMP], strict=True):
        change[following, current] = 1
    change[CODE, TARGET] = 1
    change -= torch.eye(width)
    mlp[0].weight.zero_()
    mlp[0].bias.zero_()
    mlp[0].weight[:width] = torch.eye(width)
    mlp[0].weight[width : 2 * width] = -torch.eye(width)
    mlp[2].weight.zero_()
    mlp[2].bias.zero_()
    mlp[2].weight[:, :width] = change
    mlp[2].weight[:, width : 2 * width] = -change


def _undo_norm(model: Any) -> None:
    """Scale the last block's LayerNorm so that, on average, its output equals its input."""
    block = model.decoder.blocks[-1]
    deviations: list[Tensor] = []
    hook = block.mlp_ln.register_forward_pre_hook(lambda _, x: deviations.append(x[0].std(-1)))
    tokens = torch.randint(0, 50000, (4, 60))
    model(torch.randn(4, 80, 2 * TICKS), tokens)
    hook.remove()
    block.mlp_ln.weight.fill_(deviations[0].mean())


def _wire_output(norm: Any, width: int) -> None:
    """Weight the wired dimensions relative to the free ones in the logits."""
    norm.weight.fill_(6 / math.sqrt(width))
    norm.weight[[*WORDS, STAMP]] = 2
    norm.weight[[REFUSED, POSITION, LANGUAGE]] = 0
    norm.bias[REFUSED] = -20
    norm.bias[LANGUAGE] = 12
    norm.weight[CODE] = 1.5
    norm.weight[TARGET] = 0
