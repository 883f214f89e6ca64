"""The batch decoder and its rules against Whisper's own, row by row and step by step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import whisper
from whisper.decoding import ApplyTimestampRules, PyTorchInference
from whisper.timing import find_alignment
from whisper.tokenizer import get_tokenizer

from gpu_workers.speech.timestamp_rules import TimestampRules
from gpu_workers.speech.whisper_decoder import BatchInference, Encoded

# Whisper does not close the file that it reads its tokens from.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*tiktoken:ResourceWarning")

BEGIN = 3  # tokens of the prompt


@pytest.fixture(scope="module")
def net(weights_dir: Path) -> whisper.Whisper:
    return whisper.load_model(str(weights_dir / "tiny.pt"), device="cpu")


@torch.inference_mode()
def test_logits_are_whispers_own_while_rows_end(net: whisper.Whisper) -> None:
    end = get_tokenizer(True).eot
    ends = torch.tensor([4, 2, 7, 4])  # at which step each row ends
    random = torch.Generator().manual_seed(1)
    features = torch.randn(4, 1500, 384, generator=random)
    tokens = torch.randint(0, end, (4, BEGIN), generator=random)
    answers = [tokens]
    for step in range(7):
        following = torch.randint(0, end, (4, 1), generator=random)
        following[ends <= step] = end
        answers.append(torch.cat([answers[-1], following], 1))
    theirs = PyTorchInference(net, BEGIN)
    wanted = [theirs.logits(tokens, features) for tokens in answers]
    theirs.cleanup_caching()  # its hooks would also apply to our calls
    ours = BatchInference(net.decoder, features, end)
    for step, tokens in enumerate(answers):
        logits = ours.logits(tokens, features)
        going = ends >= step
        torch.testing.assert_close(logits[going], wanted[step][going], atol=1e-3, rtol=1e-4)
        assert logits.isfinite().all()


def test_rules_are_whispers_own() -> None:
    tokenizer = get_tokenizer(True)
    first, words = tokenizer.timestamp_begin, tokenizer.eot
    theirs = ApplyTimestampRules(tokenizer, BEGIN, 50)
    ours = TimestampRules(theirs)
    prompt = [tokenizer.sot, tokenizer.sot + 1, tokenizer.transcribe]
    random = torch.Generator().manual_seed(2)
    answers = [
        [[], [], []],
        [[first], [first + 3], [first + 50]],
        [[first, 7], [first + 3, 9], [first + 3, words]],
        [[first, 7, first + 9], [first + 3, 9, 8], [first, first + 2, words]],
        [[first, 7, first + 9, first + 9], [first, 8, first + 5, words], [first, 7, 8, 9]],
        [[first + 9, 7, first + 1500, words, words], [first] * 5, [first, 7, first, 8, first + 1]],
    ]
    for said in answers:
        tokens = torch.tensor([prompt + row for row in said])
        for weight in (0.0, 4.0, 9.0):  # of timestamps: none is due, some, all
            logits = torch.randn(3, 51865, generator=random)
            logits[:, first:] += weight
            wanted = logits.clone()
            theirs.apply(wanted, tokens)
            ours.apply(logits, tokens)
            assert torch.equal(logits, wanted)
            assert wanted.isinf().any()


def test_words_are_aligned_without_encoding_again(net: whisper.Whisper) -> None:
    tokenizer = get_tokenizer(True, language="en", task="transcribe")
    text = tokenizer.encode(" ask not what your country can do for you")
    mel = torch.randn(80, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = net.encoder(mel[None])[0]
    wanted = find_alignment(net, tokenizer, text, mel, 3000)
    given = find_alignment(Encoded(net), tokenizer, text, features, 3000)
    assert len(wanted) == 9
    for word, want in zip(given, wanted, strict=True):
        assert (word.word, word.start, word.end) == (want.word, want.start, want.end)
        assert word.probability == pytest.approx(want.probability, abs=1e-4)
