"""The parameters of the multilevel network as its kernels take them: bounded numbers, read from a model file or classical.

`deepcg.multigrid.reference.network` is the network's definition, and proves that any parameters within these bounds keep it symmetric and positive definite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io import model_file
from ..native.constants import (
    FACTOR_SPREAD,
    FEATURES,
    HIDDEN,
    LEVELS,
    OMEGA_BELOW,
    OUTPUTS,
    ROUGH,
    STENCIL_TYPES,
    SWEEPS,
)

_SHAPES = {
    "sweeps": (LEVELS,),
    "omega": (2, SWEEPS, 2),
    "relaxation_table": (STENCIL_TYPES,),
    "hidden_weight": (HIDDEN, FEATURES),
    "hidden_bias": (HIDDEN,),
    "output_weight": (OUTPUTS, HIDDEN),
    "output_bias": (OUTPUTS,),
}


@dataclass(frozen=True)
class Parameters:
    """Attributes
    ----------
    sweeps : (8,) int
        Sweeps before and after the coarse correction, per level from the finest, 1 to 4; the last holds for all below.
    omega : (2, 4, 2) float, in (0, 3/2)
        Relaxation on the finest and on coarser levels, by sweep and colour.
    relaxation_table : (16,) float, in (3/4, 5/4)
        Factors of it by the finest level's stencil type: number of joined faces, +8 where one of them is open.
    hidden_weight (8, 5), hidden_bias (8,), output_weight (3, 8), output_bias (3,) : float
        The learned function of a cell's surroundings, softsign throughout; see `deepcg.multigrid.reference.network`.
    local : bool
        False: that function is constant, and its factors are 1.
    rough : float, at least 1
        Levels below the finest are sparse where weights on opposite faces of a cell differ by more than this factor; infinity: never.
    """

    sweeps: NDArray[np.int32]
    omega: NDArray[np.float32]
    relaxation_table: NDArray[np.float32]
    hidden_weight: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output_weight: NDArray[np.float32]
    output_bias: NDArray[np.float32]
    local: bool = True
    rough: float = ROUGH

    def __post_init__(self):
        for name, shape in _SHAPES.items():
            kind = np.int32 if name == "sweeps" else np.float32
            value = np.ascontiguousarray(getattr(self, name), dtype=kind)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{name}: shape {value.shape} given; {shape} finite values are needed")
            object.__setattr__(self, name, value)
        if not self.rough >= 1.0:
            raise ValueError(f"rough: {self.rough} given; a factor of at least 1 is needed")
        if self.sweeps.min() < 1 or self.sweeps.max() > SWEEPS:
            raise ValueError(f"sweeps: {self.sweeps.tolist()} given; 1 to {SWEEPS} are needed")
        if not (self.omega.min() > 0 and self.omega.max() < OMEGA_BELOW):
            raise ValueError(f"omega: values between 0 and {OMEGA_BELOW}, exclusive, are needed")
        if not np.abs(self.relaxation_table - 1.0).max() < FACTOR_SPREAD:
            raise ValueError(
                f"relaxation_table: values between {1 - FACTOR_SPREAD} and {1 + FACTOR_SPREAD}, exclusive, are needed"
            )

    @classmethod
    def classical(cls, sweeps: int | Sequence[int] = (2, 3, 4), omega: float = 1.2) -> Parameters:
        """A geometric multigrid cycle: one relaxation factor, and nothing that depends on the surroundings.

        Parameters
        ----------
        sweeps : per level from the finest; the last holds for all below
        omega : relaxation factor, in (0, 3/2)
        """
        given = [sweeps] if isinstance(sweeps, int) else list(sweeps)
        return cls(
            sweeps=np.array((given + [given[-1]] * LEVELS)[:LEVELS], np.int32),
            omega=np.full((2, SWEEPS, 2), omega, np.float32),
            relaxation_table=np.ones(STENCIL_TYPES, np.float32),
            hidden_weight=np.zeros((HIDDEN, FEATURES), np.float32),
            hidden_bias=np.zeros(HIDDEN, np.float32),
            output_weight=np.zeros((OUTPUTS, HIDDEN), np.float32),
            output_bias=np.zeros(OUTPUTS, np.float32),
            local=False,
        )

    @property
    def fallback(self) -> str:
        """What is left to try where a cycle with them fails: see `deepcg.preconditioners.base.Preconditioner`."""
        classical = Parameters.classical().tensors()
        same = not self.local and all(np.array_equal(value, classical[name]) for name, value in self.tensors().items())
        return "amg" if same else "auto"

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> Parameters:
        """From the tensors of a model file.

        Raises
        ------
        deepcg.io.model_file.ModelFileError
            They are not what this network has, or out of bounds.
        """
        try:
            if unknown := tensors.keys() - _SHAPES.keys():
                raise ValueError(f"{', '.join(sorted(unknown))}: unknown")
            if not np.isin(tensors["sweeps"], np.arange(1, SWEEPS + 1)).all():
                raise ValueError(f"sweeps: whole numbers from 1 to {SWEEPS} are needed")
            given: dict[str, Any] = {name: tensors[name] for name in _SHAPES}
            return cls(**given, local=True)
        except (KeyError, ValueError) as error:
            raise model_file.ModelFileError(
                f"model: its parameters are not those of a multilevel network ({error})"
            ) from error

    def tensors(self) -> dict[str, np.ndarray]:
        """The tensors of a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in _SHAPES}


def load(path) -> tuple[Parameters, dict[str, Any]]:
    """Parameters and description of a model file of the multilevel architecture.

    Raises
    ------
    deepcg.io.model_file.ModelFileError
    """
    tensors, description = model_file.load(path)
    return Parameters.from_tensors(tensors), description
