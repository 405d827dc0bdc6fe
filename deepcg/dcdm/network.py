"""The paper's network, `dcdm`: a two-level convolutional network that maps a residual to a search direction.

Kaneda, Akar, Chen, Kala, Hyde, Teran, "A Deep Conjugate Direction Method for Iteratively Solving Linear Systems",
ICML 2023, section 5. One channel in (the residual, no geometry), 16 channels of 3-wide convolutions with zero
padding, ReLU everywhere but in the first and the last layer, residual additions in pairs; one coarse branch (mean
pooling by two, convolutions, nearest upsampling) that is added to the fine one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

# The paper's sizes: convolutions on the fine level before the coarse branch, on the coarse level, and after it.
PAPER_LAYERS = {"64": (4, 6, 4), "128": (6, 10, 6)}


def channels_last(network: Any, device: Any = None) -> Any:
    """The network on a device, its weights laid out as oneDNN and cuDNN like them best."""
    return network.to(device=device, memory_format=CHANNELS_LAST[network.dim])


class DCDM(nn.Module):
    """Approximates A^-1 up to scale on a uniform box of cells.

    Parameters
    ----------
    dim : 2 or 3
        3 is the paper's network, 2 its sibling.
    layers : (before, coarse, after)
        Numbers of convolutions, each even; (4, 6, 4) is the paper's network for 64^3 (97,457 parameters in 3-D),
        (6, 10, 6) the one for 128^3 (152,881).
    channels : int

    Notes
    -----
    Not linear, not symmetric, not homogeneous: the caller scales its input (`deepcg.dcdm.preconditioner`). Any size is
    taken: odd ones are padded with zeros up to an even one and cropped again.
    """

    def __init__(self, dim: int = 3, layers: tuple[int, int, int] = PAPER_LAYERS["64"], channels: int = 16):
        super().__init__()
        if dim not in CONVOLUTION:
            raise ValueError(f"dim: {dim} given; 2 or 3 is needed")
        if len(layers) != 3 or any(n % 2 or n < 2 for n in layers):
            raise ValueError(f"layers: {layers} given; three even numbers of at least 2 are needed")
        self.dim, self.layers, self.channels = dim, tuple(layers), channels
        conv = CONVOLUTION[dim]
        before, coarse, after = layers
        self.lift = conv(1, channels, 3, padding=1)
        self.before = nn.ModuleList(ResidualPair(conv, channels) for _ in range(before // 2))
        self.coarse = nn.ModuleList(ResidualPair(conv, channels) for _ in range(coarse // 2))
        self.after = nn.ModuleList(ResidualPair(conv, channels) for _ in range(after // 2))
        self.project = conv(channels, 1, 1)

    def forward(self, residual: Tensor) -> Tensor:
        """residual: (batch, 1, *cells) -> direction, the same shape."""
        cells = residual.shape[2:]
        odd = [n % 2 for n in cells]
        if any(odd):
            residual = functional.pad(residual, [p for n in reversed(odd) for p in (0, n)])
        fine = self.lift(residual)
        for pair in self.before:
            fine = pair(fine)
        coarse = pool(fine)
        for pair in self.coarse:
            coarse = pair(coarse)
        fine = fine + functional.interpolate(coarse, scale_factor=2, mode="nearest")
        for pair in self.after:
            fine = pair(fine)
        direction = self.project(fine)
        inside: tuple[Any, ...] = (..., *(slice(n) for n in cells))
        return direction[inside]


class ResidualPair(nn.Module):
    """x + two convolutions with ReLU of x."""

    def __init__(self, conv, channels: int):
        super().__init__()
        self.first = conv(channels, channels, 3, padding=1)
        self.second = conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.second(functional.relu(self.first(x))))


def pool(x: Tensor) -> Tensor:
    """Means of two cells along every axis."""
    return functional.avg_pool2d(x, 2) if x.ndim == 4 else functional.avg_pool3d(x, 2)
