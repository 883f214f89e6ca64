"""3x3 convolutions with a quarter of the multiplications, for fp32 on a CPU.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015): F(4x4, 3x3) computes a
4x4 output tile from 6x6 inputs with 36 multiplications per channel; direct convolution needs 144.
The interpolation points are 0, ±√½, ±√2 and infinity, not the paper's 0, ±1, ±2. This halves the
rounding error, to about that of direct convolution (Barabasz et al., "Error Analysis and Improving
the Accuracy of Winograd Convolution for Deep Neural Networks", 2020, explains why).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gpu_workers.cpu_threads import each_alone

OUTPUTS = 4  # side of an output tile
INPUTS = 6
OVERLAP = INPUTS - OUTPUTS
BAND_TILES = 120  # tiles per band: enough for a fast matrix product, few enough for the cache

HALF_ROOT = 0.5**0.5
ROOT = 2**0.5

Rows = Callable[[int, int], Tensor]  # rows first to last, (images, rows, width, channels)


class Winograd(nn.Module):
    """A zero-padded 3x3 convolution, then optional 2x2 max pooling, then an optional ReLU.

    The input is (n, channels, height, width) fp32; the output is channels_last.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool, pool: bool = False) -> None:
        super().__init__()
        self._kernel = _transformed(conv.weight.detach())
        self._bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
        self._relu = relu
        self._pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images that exist in full."""
        rows = x.permute(0, 2, 3, 1)
        return self.convolve(lambda first, last: rows[:, first:last], rows.shape[:3])

    def convolve(self, rows: Rows, shape: Sequence[int]) -> Tensor:
        """Convolve images whose rows are produced on demand, a band at a time.

        `shape` is the number of images, their height and their width.
        """
        grid = _Grid.over(shape)
        side = OUTPUTS // 2 if self._pool else OUTPUTS
        # (images, tiles down, a tile's rows, tiles across, a tile's columns, filters)
        out = torch.empty(grid.count, grid.total, side, grid.across, side, len(self._bias))
        starts = iter(range(0, grid.total, grid.down))

        def work(_: int) -> None:
            band = _Band(grid, self._kernel)
            for start in starts:
                self._finish(band.convolve(rows, start), out[:, start : start + grid.down])

        each_alone(work, range(torch.get_num_threads()))
        whole = out.flatten(3, 4).flatten(1, 2)
        shrink = OUTPUTS // side
        return whole[:, : grid.height // shrink, : grid.width // shrink].permute(0, 3, 1, 2)

    def _finish(self, tiles: Tensor, out: Tensor) -> None:
        """Pool, add the bias, apply the ReLU, and write the tiles to their place in the image."""
        if self._pool:
            tiles = torch.maximum(tiles[::2], tiles[1::2])
            tiles = torch.maximum(tiles[:, ::2], tiles[:, 1::2])
        torch.add(tiles.permute(2, 3, 0, 4, 1, 5)[:, : out.shape[1]], self._bias, out=out)
        if self._relu:
            out.relu_()


@dataclass(frozen=True)
class _Grid:
    """`count` images in `total` rows of `across` tiles; `down` rows of tiles form a band."""

    count: int
    height: int
    width: int
    total: int
    across: int
    down: int

    @classmethod
    def over(cls, shape: Sequence[int]) -> _Grid:
        """The tiles of (count, height, width) images, in bands of about equal size."""
        count, height, width = shape
        total, across = -(-height // OUTPUTS), -(-width // OUTPUTS)
        bands = min(total, -(-count * total * across // BAND_TILES))
        return cls(count, height, width, total, across, -(-total // bands))


class _Band:
    """Reusable memory for one band of tiles and their transforms."""

    def __init__(self, grid: _Grid, kernel: Tensor) -> None:
        _, channels, filters = kernel.shape
        self._grid = grid
        self._kernel = kernel
        rows, columns = (OUTPUTS * tiles + OVERLAP for tiles in (grid.down, grid.across))
        tiles = (grid.count, grid.down, grid.across)
        self._images = torch.zeros(grid.count, rows, columns, channels)
        self._half = torch.empty(INPUTS, grid.count, grid.down, columns, channels)
        self._inputs = torch.empty(INPUTS, INPUTS, *tiles, channels)
        self._products = torch.empty(INPUTS, INPUTS, *tiles, filters)
        self._half_back = torch.empty(OUTPUTS, INPUTS, *tiles, filters)
        self._outputs = torch.empty(OUTPUTS, OUTPUTS, *tiles, filters)

    def convolve(self, rows: Rows, start: int) -> Tensor:
        """Convolve tiles from row `start`: (4 down, 4 across, images, down, across, filters)."""
        self._take(rows, OUTPUTS * start)
        _evaluate(_overlapping(self._images, 1, self._grid.down), self._half)
        columns = _overlapping(self._half, 3, self._grid.across)
        _evaluate(columns, self._inputs.transpose(0, 1))
        torch.bmm(
            self._inputs.flatten(2, 4).flatten(0, 1),
            self._kernel,
            out=self._products.flatten(2, 4).flatten(0, 1),
        )
        _interpolate(self._products, self._half_back)
        _interpolate(self._half_back.transpose(0, 1), self._outputs.transpose(0, 1))
        return self._outputs

    def _take(self, rows: Rows, top: int) -> None:
        """Copy the rows that the tiles need, from one above `top`; zeros outside the image."""
        first, last = max(0, top - 1), min(self._grid.height, top - 1 + self._images.shape[1])
        start, stop = first - (top - 1), last - (top - 1)
        self._images[:, :start] = 0
        self._images[:, start:stop, 1 : 1 + self._grid.width] = rows(first, last)
        self._images[:, stop:] = 0


def _overlapping(x: Tensor, dim: int, tiles: int) -> Tensor:
    """The six inputs of each tile along `dim`, six first, then as `x`; a view, not a copy."""
    size, stride = list(x.shape), list(x.stride())
    size[dim] = tiles
    stride[dim] *= OUTPUTS
    return x.as_strided((INPUTS, *size), (x.stride(dim), *stride))


def _evaluate(inputs: Tensor, out: Tensor) -> None:
    """Evaluate the polynomial whose coefficients are a tile's six inputs at six points."""
    d0, d1, d2, d3, d4, d5 = inputs
    even, odd = out[0], out[5]
    torch.sub(d4, d2, alpha=2, out=even)
    torch.sub(d3, d1, alpha=2, out=odd)
    torch.add(even, odd, alpha=HALF_ROOT, out=out[1])
    torch.sub(even, odd, alpha=HALF_ROOT, out=out[2])
    torch.sub(d4, d2, alpha=0.5, out=even)
    torch.sub(d3, d1, alpha=0.5, out=odd)
    torch.add(even, odd, alpha=ROOT, out=out[3])
    torch.sub(even, odd, alpha=ROOT, out=out[4])
    torch.sub(even, d2, alpha=2, out=out[0]).add_(d0)
    torch.add(d5, d1, out=out[5]).sub_(d3, alpha=2.5)


def _interpolate(products: Tensor, out: Tensor) -> None:
    """Compute a tile's four outputs from the products at six points; overwrites the products."""
    m0, m1, m2, m3, m4, m5 = products
    near = torch.add(m1, m2, out=out[2])
    near_odd = m1.sub_(m2)
    far = torch.add(m3, m4, out=m2)
    far_odd = m3.sub_(m4)
    torch.add(near, far, alpha=0.25, out=out[0])
    torch.add(m0, out[0], alpha=2, out=out[0])
    out[2].add_(far)
    torch.add(near_odd, far_odd, alpha=0.5, out=out[1]).mul_(ROOT)
    torch.add(near_odd, far_odd, alpha=2, out=out[3])
    torch.add(m5, out[3], alpha=HALF_ROOT, out=out[3])


def _transformed(weight: Tensor) -> Tensor:
    """(filters, channels, 3, 3) to (36, channels, filters): each kernel evaluated at the points.

    Each matrix row is scaled so that `_interpolate` needs the fewest factors.
    """
    matrix = torch.tensor(
        [
            [1, 0, 0],
            [-1 / 3, -HALF_ROOT / 3, -1 / 6],
            [-1 / 3, HALF_ROOT / 3, -1 / 6],
            [1 / 3, ROOT / 3, 2 / 3],
            [1 / 3, -ROOT / 3, 2 / 3],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )
    kernel = torch.einsum("ia,jb,ocab->ijco", matrix, matrix, weight.double())
    return kernel.flatten(0, 1).float().contiguous()
