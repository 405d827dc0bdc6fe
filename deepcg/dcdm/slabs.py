"""The paper's network evaluated on a CPU, slab by slab, in memory that stays.

One activation of the network is as large as sixteen vectors. Where every layer makes new ones, the system finds and clears their pages each time,
which takes as long as the convolutions. Here each level keeps two, and a layer goes over them in slabs along the first axis that are small enough
for the allocator to keep (glibc gives back at once what is over 32 MiB). The layers are oneDNN's; the answer is `DCDM.forward`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .network import CHANNELS_LAST, DCDM, pool

SLAB = 16 << 20  # bytes


class Level:
    """Two activations of one level, with a layer of zeros beyond both ends of the first axis.

    Attributes
    ----------
    values, hidden : float32 tensors, (1, channels, n0 + 2, ...)
    """

    def __init__(self, channels: int, cells: tuple[int, ...]):
        self.values, self.hidden = activation(channels, cells), activation(channels, cells)
        thickness = 2 * max(
            1, SLAB // 2 // self.values[:, :, 0].nbytes
        )  # even: none has only the layer that evens out an odd number
        self._bounds = [*range(0, cells[0], thickness), cells[0]]

    def slabs(self) -> Iterator[tuple[int, int]]:
        """First cell and last but one of every slab."""
        return pairwise(self._bounds)

    def add_pair(self, pair: Any) -> None:
        """values += relu(second(relu(first(values))))."""
        for low, high in self.slabs():
            torch.clamp_min(convolve(pair.first, self.values, low, high), 0, out=inside(self.hidden, low, high))
        for low, high in self.slabs():
            inside(self.values, low, high).add_(convolve(pair.second, self.hidden, low, high).relu_())


class SlabEvaluation:
    """A network for grids of one size, on a CPU.

    Parameters
    ----------
    network : DCDM
        In float32; its weights are read in every evaluation.
    cells : shape of the grid
    """

    def __init__(self, network: DCDM, cells: tuple[int, ...]):
        self._network, self._cells = network, cells
        even = tuple(n + n % 2 for n in cells)
        self._residual = activation(1, even)
        self._fine = Level(network.channels, even)
        self._coarse = Level(network.channels, tuple(n // 2 for n in even))

    @torch.inference_mode()
    def __call__(self, residual: Tensor) -> Tensor:
        """residual: (1, 1, *cells) -> direction, the same shape."""
        network, fine, coarse = self._network, self._fine, self._coarse
        direction = torch.empty_like(residual)
        # of the other axes, without what evens out odd numbers of cells
        across: tuple[Any, ...] = (..., *(slice(n) for n in self._cells[1:]))
        inside(self._residual, 0, self._cells[0])[across] = residual
        for low, high in fine.slabs():
            inside(fine.values, low, high).copy_(convolve(network.lift, self._residual, low, high))
        for pair in network.before:
            fine.add_pair(pair)
        for low, high in coarse.slabs():
            inside(coarse.values, low, high).copy_(pool(inside(fine.values, 2 * low, 2 * high)))
        for pair in network.coarse:
            coarse.add_pair(pair)
        for low, high in coarse.slabs():
            inside(fine.values, 2 * low, 2 * high).add_(
                functional.interpolate(inside(coarse.values, low, high), scale_factor=2, mode="nearest")
            )
        for pair in network.after:
            fine.add_pair(pair)
        for low, high in fine.slabs():
            high = min(high, self._cells[0])
            direction[:, :, low:high] = convolve(network.project, fine.values, low, high)[across]
        return direction


def evaluation(network: DCDM, cells: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """The quickest way to evaluate a network for one residual on a grid of this shape, where its weights are."""
    weight = network.lift.weight
    if weight.is_cpu and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return SlabEvaluation(network, cells)
    return torch.inference_mode()(network.forward)


def activation(channels: int, cells: tuple[int, ...]) -> Tensor:
    """Zeros, with a layer more at both ends of the first axis."""
    shape = (1, channels, cells[0] + 2, *cells[1:])
    return torch.empty(shape, memory_format=CHANNELS_LAST[len(cells)]).zero_()


def inside(values: Tensor, low: int, high: int) -> Tensor:
    """The cells low <= i < high of the first axis, beyond whose ends there is a layer more."""
    return values[:, :, low + 1 : high + 1]


def convolve(layer, values: Tensor, low: int, high: int) -> Tensor:
    """The layer's answer in the cells low <= i < high of the first axis."""
    reach = layer.padding[0]  # 1, or 0 where the layer is pointwise
    reached = values[:, :, low + 1 - reach : high + 1 + reach]
    padding = (0, *layer.padding[1:])
    # not layer(): that takes PyTorch's own slow path where there are few cells
    return torch.mkldnn_convolution(
        reached, layer.weight, layer.bias, padding, layer.stride, layer.dilation, layer.groups
    )
