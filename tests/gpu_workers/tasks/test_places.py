"""Places against a plain torchvision forward pass with the authors' transform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from frames_and_boxes import clip_frames, picture
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet18

from gpu_workers.model import Runtime
from gpu_workers.tasks import places
from gpu_workers.tasks.places import Places
from gpu_workers.weights.catalogue import PACKAGE
from gpu_workers.weights.errors import ModelUnavailable
from gpu_workers.weights.store import WeightsStore
from ipc.results import Classification
from ipc.subjects import Frames

if TYPE_CHECKING:
    from tests.conftest import FrameStore

NETWORK = "resnet18_places365.pth.tar"


def load(folder: Path, device: str = "cpu", precision: str = "fp32") -> Places:
    return places.load(places.Spec(5), Runtime(device, precision, WeightsStore(folder)))


def run(model: Places, top_k: int, store: FrameStore, frames: Frames) -> list[Classification]:
    spec = places.Spec(top_k)
    inputs = model.preprocess(spec, frames, store.view)
    return model.postprocess(spec, frames, model.infer(spec, inputs))


@pytest.fixture(scope="module")
def folder(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network alone: the lists are part of the package."""
    folder = tmp_path_factory.mktemp("places")
    (folder / NETWORK).symlink_to(weights_dir / NETWORK)
    return folder


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of the two lists, which are used in their place."""
    for name in ("categories_places365.txt", "IO_places365.txt"):
        (tmp_path / name).write_bytes((PACKAGE / name).read_bytes())
    monkeypatch.setattr("gpu_workers.weights.store.PACKAGE", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model(folder: Path) -> Places:
    return load(folder)


@pytest.fixture(
    scope="module",
    params=[
        ("takes.mp4", "other_takes.mp4"),
        *[tuple(names) for names in [real("car-detection.mp4", "bottle-detection.mp4")] if names],
    ],
)
def frames(request: pytest.FixtureRequest, clips: ClipLibrary) -> list[np.ndarray]:
    """Twelve frames of five sizes, one of them upright and one smaller than the network's input."""
    first, second = request.param
    return [
        *clip_frames(clips.path(first), 5, 30),
        *clip_frames(clips.path(second), 4, 30),
        picture("bus.jpg"),
        picture("zidane.jpg"),
        picture("zidane.jpg")[100:291:2, 700:901:2].copy(),
    ]


def plain_forward(folder: Path, frames: list[np.ndarray]) -> torch.Tensor:
    """(frames, 365) probabilities, by the authors' `run_placesCNN_basic.py`."""
    transform = transforms.Compose(
        [
            transforms.Resize((256, 256)),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    network = resnet18(num_classes=365)
    state = torch.load(folder / NETWORK, weights_only=True)["state_dict"]
    network.load_state_dict({key.replace("module.", ""): state[key] for key in state})
    with torch.inference_mode():
        pictures = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
        return network.eval()(pictures).softmax(1)


def categories() -> list[str]:
    """The names of the categories, as in `/a/airfield`."""
    return (PACKAGE / "categories_places365.txt").read_text().split()[::2]


def test_every_probability_equals_a_plain_forward(model, folder: Path, frame_store, frames):
    labels = [name[3:] for name in categories()]
    expected = plain_forward(folder, frames)
    items = run(model, 365, frame_store, frame_store.put(frames))
    assert len(items) == len(frames)
    for item, row in zip(items, expected, strict=True):
        found = {one.label: one.confidence for one in item.predictions}
        assert found == pytest.approx(dict(zip(labels, row.tolist(), strict=True)), abs=1.5e-4)


def test_the_first_ten_vote_on_indoors(folder: Path, lists: Path, frame_store, frames):
    settings = np.arange(365) % 2  # by turns, so that the frames differ
    lines = [f"{name} {1 + io}\n" for name, io in zip(categories(), settings, strict=True)]
    (lists / "IO_places365.txt").write_text("".join(lines))
    best = plain_forward(folder, frames).argsort(1, descending=True)[:, :10].numpy()
    expected = [bool(np.mean(settings[row]) < 0.5) for row in best]
    assert set(expected) == {True, False}
    model, subject = load(folder), frame_store.put(frames)
    for top_k in (1, 20):
        items = run(model, top_k, frame_store, subject)
        assert [item.indoor for item in items] == expected


@pytest.mark.parametrize("top_k", [1, 5, 12, 365])
def test_top_k_predictions_fall(model, frame_store, frames, top_k: int):
    for item in run(model, top_k, frame_store, frame_store.put(frames[:2])):
        confidences = [one.confidence for one in item.predictions]
        assert len(confidences) == top_k
        assert confidences == sorted(confidences, reverse=True)


def test_nested_labels_keep_their_second_part(model, frame_store, frames):
    (item,) = run(model, 365, frame_store, frame_store.put(frames[:1]))
    labels = {one.label for one in item.predictions}
    assert len(labels) == 365
    assert {"airfield", "apartment_building/outdoor", "zen_garden"} <= labels


def test_frames_keep_their_place_in_the_video(model, frame_store, frames):
    items = run(model, 1, frame_store, frame_store.put(frames[:3], interval=60))
    assert [(item.frame_index, item.timestamp_ms) for item in items] == [
        (0, 0),
        (60, 2400),
        (120, 4800),
    ]


def test_two_calls_give_the_same_bytes(model, frame_store, frames):
    subject = frame_store.put(frames[:3])
    first, second = (msgspec.msgpack.encode(run(model, 5, frame_store, subject)) for _ in range(2))
    assert first == second


def test_garbage_is_no_network(tmp_path: Path):
    (tmp_path / NETWORK).write_bytes(b"no checkpoint at all" * 100)
    with pytest.raises(ModelUnavailable, match=rf"{NETWORK} is no Places365 ResNet-18"):
        load(tmp_path)


def test_a_network_of_other_shape_is_refused(tmp_path: Path):
    torch.save({"state_dict": resnet18(num_classes=10).state_dict()}, tmp_path / NETWORK)
    with pytest.raises(ModelUnavailable, match=r"size mismatch for fc\.weight"):
        load(tmp_path)


def test_a_short_list_is_refused(folder: Path, lists: Path):
    (lists / "IO_places365.txt").write_text("/a/airfield 2\n")
    with pytest.raises(ModelUnavailable, match=r"IO_places365\.txt does not list 365 places"):
        load(folder)


def test_the_lists_are_the_authors_own():
    names = categories()
    assert (len(set(names)), names[0], names[-1]) == (365, "/a/airfield", "/z/zen_garden")
    rows = [line.split() for line in (PACKAGE / "IO_places365.txt").read_text().splitlines()]
    assert {name for name, _ in rows} == set(names)
    assert dict(rows)["/a/airfield"] == "2"
    assert dict(rows)["/k/kitchen"] == "1"


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-2), ("fp16", 5e-2)])
def test_cuda_equals_cpu(model, folder, frame_store, frames, precision: str, tolerance: float):
    subject = frame_store.put(frames)
    on_cuda = load(folder, "cuda:0", precision)
    for item, one in zip(
        run(on_cuda, 365, frame_store, subject), run(model, 365, frame_store, subject), strict=True
    ):
        found, expected = (
            {p.label: p.confidence for p in side.predictions} for side in (item, one)
        )
        assert found == pytest.approx(expected, abs=tolerance)


def test_the_hashes_of_all_files_are_known(folder: Path, lists: Path) -> None:
    before = load(folder).info
    changed = lists / "IO_places365.txt"
    changed.write_text(changed.read_text().replace("/a/airfield 2", "/a/airfield 1"))
    after = load(folder).info
    assert before.weights_sha256 == after.weights_sha256
    assert len(before.other_sha256) == 2
    assert before.other_sha256[0] == after.other_sha256[0]
    assert before.other_sha256[1] != after.other_sha256[1]
