"""The rearranged networks against EasyOCR's own, with the same weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clip_library import ClipLibrary, real
from easyocr.craft import CRAFT
from easyocr.detection import copyStateDict
from easyocr.imgproc import normalizeMeanVariance
from easyocr.model import model as gen1
from easyocr.model import vgg_model as gen2
from easyocr.recognition import AlignCollate
from PIL import Image
from torch import Tensor

from gpu_workers.ocr.craft import Craft
from gpu_workers.ocr.languages import script_for
from gpu_workers.ocr.recogniser import Crop, Recogniser

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["notice.png", *real("example.png")])
def picture(request: pytest.FixtureRequest, clips: ClipLibrary) -> Tensor:
    """(1, 3, 96, 192), as CRAFT wants it."""
    page = cv2.resize(cv2.imread(str(clips.path(request.param))), (192, 96))
    return torch.from_numpy(normalizeMeanVariance(page)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def scores(weights_dir: Path, picture: Tensor) -> Tensor:
    """What EasyOCR's network gives, in float64."""
    net = CRAFT()
    state = torch.load(weights_dir / "craft_mlt_25k.pth", weights_only=True)
    net.load_state_dict(copyStateDict(state))
    with torch.inference_mode():
        return net.eval().double()(picture.double())[0].permute(0, 3, 1, 2)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-5), (torch.bfloat16, 0.15)])
def test_craft_gives_the_same_scores(
    weights_dir: Path, picture: Tensor, scores: Tensor, dtype: torch.dtype, error: float
) -> None:
    craft = Craft(weights_dir / "craft_mlt_25k.pth", CPU, dtype)
    with torch.inference_mode():
        found = craft(picture.to(dtype, memory_format=torch.channels_last))
        pair = craft(torch.cat([picture, picture.flip(3)]).to(dtype))
    assert found.shape == scores.shape == (1, 2, 48, 96)
    assert rms(found - scores) < error * float(scores.std())
    assert rms(pair[:1] - scores) < error * float(scores.std())


@pytest.mark.parametrize(
    ("language", "package", "channels"), [("th", gen1, 512), ("en", gen2, 256)]
)
def test_padding_is_seen_as_if_it_were_there(
    language: str, package: object, channels: int, tmp_path: Path
) -> None:
    """Logits of crops with little and much padding are those of the whole network."""
    torch.manual_seed(5)
    script = script_for((language,))
    net = package.Model(1, channels, channels, num_class=len(script.characters) + 1).eval()
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    recogniser = Recogniser(script, tmp_path / "net.pth", CPU)
    rng = np.random.default_rng(6)
    pictures = [rng.integers(0, 255, size, np.uint8) for size in ((64, 70), (300, 64))]
    crops = [Crop([], picture, 320) for picture in pictures]
    collate = AlignCollate(64, 320)
    with torch.inference_mode():
        whole = net(collate([Image.fromarray(picture) for picture in pictures]), None)
        spared = recogniser._read(recogniser._features(crops, 0.0), None)
    assert all(recogniser._columns(crop) < 320 for crop in crops)
    torch.testing.assert_close(spared, whole, rtol=0, atol=1e-5 * float(whole.std()) + 1e-6)
