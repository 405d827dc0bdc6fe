"""The unsupervised loss: how much of the residual is left after the best step along the network's direction.

Kaneda et al. 2023, section 4: with ||b|| = 1, y = f(b) and alpha = y.b / y.Ay, the loss is || b - alpha A y ||^2. No solution is
ever needed, and only the direction of y matters: the network may approximate A^-1 up to an arbitrary constant.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def residual_after_step(apply: Callable[[Tensor], Tensor], b: Tensor, y: Tensor) -> Tensor:
    """Mean over the batch of || b - alpha A y ||^2 / ||b||^2.

    Parameters
    ----------
    apply : the operator A on tensors of b's shape
    b : (batch, 1, *cells)
    y : the network's directions, b's shape

    Notes
    -----
    A direction without curvature (y = 0, or a constant where A is singular) leaves the residual as it was: loss 1.
    """
    over_cells = tuple(range(1, b.ndim))
    product = apply(y)
    curvature = (y * product).sum(over_cells, keepdim=True)
    positive = curvature > torch.finfo(curvature.dtype).tiny
    alpha = torch.where(positive, (y * b).sum(over_cells, keepdim=True) / torch.where(positive, curvature, 1.0), 0.0)
    left = b - alpha * product
    return ((left * left).sum(over_cells) / (b * b).sum(over_cells)).mean()


def box_operator(dim: int, boundary) -> Callable[[Tensor], Tensor]:
    """A on the obstacle-free box with unit spacing, as a torch function on (batch, 1, *cells).

    Parameters
    ----------
    dim : 2 or 3
    boundary : as checked by `deepcg.problem.grid.check_boundary`
        One (low, high) pair per axis.
    """

    def apply(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        for axis, (low, high) in enumerate(boundary, start=2):
            n = x.shape[axis]
            flux = x.narrow(axis, 1, n - 1) - x.narrow(axis, 0, n - 1)
            first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
            if low == "periodic":
                wrapped = first - last
                flux = torch.cat([wrapped, flux, wrapped], axis)
            else:
                flux = torch.cat([first * (low == "open"), flux, -last * (high == "open")], axis)
            y = y - (flux.narrow(axis, 1, n) - flux.narrow(axis, 0, n))
        return y

    if len(boundary) != dim:
        raise ValueError(f"boundary: {len(boundary)} axes given; {dim} are needed")
    return apply
