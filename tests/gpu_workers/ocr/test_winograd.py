"""Winograd's convolution against the plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpu_workers.ocr.winograd import Winograd


def convolution(channels: int, filters: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, 3, padding=1, bias=bias).requires_grad_(False)


def exact(conv: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if conv.bias is None else conv.bias.double()
    return F.conv2d(x.double(), conv.weight.double(), bias, padding=1)


@pytest.mark.parametrize(
    ("count", "channels", "filters", "height", "width"),
    [(1, 64, 32, 64, 96), (3, 8, 16, 16, 50), (1, 3, 5, 1, 1), (2, 4, 4, 7, 9), (1, 4, 8, 130, 18)],
)
def test_it_convolves(count: int, channels: int, filters: int, height: int, width: int) -> None:
    torch.manual_seed(1)
    conv = convolution(channels, filters)
    x = torch.randn(count, channels, height, width)
    found = Winograd(conv, relu=False)(x)
    assert found.shape == (count, filters, height, width)
    torch.testing.assert_close(found.double(), exact(conv, x), rtol=0, atol=2e-5)


def test_its_rounding_errors_are_about_those_of_the_plain_convolution() -> None:
    torch.manual_seed(2)
    conv = convolution(256, 64)
    x = torch.randn(1, 256, 64, 64).relu()
    truth = exact(conv, x)
    errors = (Winograd(conv, relu=False)(x) - truth).square().mean().sqrt()
    assert errors < 1e-6 * truth.std()  # oneDNN's, on maps that are channels_last: 6e-7


def test_maximum_and_relu_follow() -> None:
    torch.manual_seed(3)
    conv = convolution(8, 16, bias=False)
    x = torch.randn(2, 8, 34, 22)
    truth = F.max_pool2d(exact(conv, x), 2).relu()
    found = Winograd(conv, relu=True, pool=True)(x)
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=2e-5)


def test_the_number_of_threads_changes_no_digit_and_is_left_alone() -> None:
    torch.manual_seed(4)
    winograd = Winograd(convolution(32, 32), relu=True)
    x = torch.randn(1, 32, 200, 120)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(winograd(x))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)


def test_a_failure_in_a_thread_is_the_callers() -> None:
    def rows(first: int, last: int) -> Tensor:
        raise ValueError(f"no rows {first} to {last}")

    with pytest.raises(ValueError, match="no rows"):
        Winograd(convolution(4, 4), relu=True).convolve(rows, (1, 64, 64))
