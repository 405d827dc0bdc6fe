"""The frozen list of cases: scenes of the gallery, a right-hand side, a size; a time sequence; a system of the user's.

A case is told by its name, such as "plume 64^3", "plume 64^3 noise", "bubble 256^2", "fractures 1e6 64^3" or "moving sphere 48^3, 24 systems",
and by nothing else: what the name means does not change, so that results stay comparable. New cases get new names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage as ndi

import deepcg
from benchmarks.systems import fields
from deepcg.scenes import gallery

NOISE_SEED = 2024
STEPS = 24  # systems of a time sequence
SIMULATION_RTOL = 1e-8  # with which the simulation goes from one system of a sequence to the next


@dataclass(frozen=True)
class Step:
    """A system: of a case, or of one step of a sequence; x0 is what a warm start begins with, laid out like b."""

    problem: deepcg.Poisson
    b: np.ndarray
    x0: np.ndarray | None = None


@dataclass(frozen=True)
class Case:
    """A system or a sequence of systems to solve.

    Attributes
    ----------
    scene : of the gallery, or of `benchmarks.systems.fields`, whose right-hand side is noise; or "" for a matrix
    size, dim : int
    rhs : "physical" or "noise"
    steps : int
        1, or the systems of a sequence.
    matrix : files of a user's system: the matrix, and the right-hand side or None
    grid : its (nx, ny[, nz])
    contrast : of a rough scene or field
    """

    scene: str
    size: int = 0
    dim: int = 3
    rhs: str = "physical"
    steps: int = 1
    matrix: tuple[Path, Path | None] | None = None
    grid: tuple[int, ...] | None = None
    contrast: float | None = None

    @cached_property
    def name(self) -> str:
        if self.matrix:
            return f"{self.matrix[0].name} ({digest(*self.matrix)}) on {'x'.join(map(str, self.grid or ()))}"
        box = f"{self.size}^{self.dim}"
        if self.steps > 1:
            return f"moving {self.scene} {box}, {self.steps} systems"
        return f"{self.label} {box}" + (" noise" if self.rhs == "noise" else "")

    @property
    def label(self) -> str:
        """The scene, and its contrast where it has one."""
        return self.scene + (f" {power(self.contrast)}" if self.contrast is not None else "")

    def systems(self) -> Iterator[Step]:
        """The system, or those of the sequence one after another."""
        if self.matrix:
            from deepcg.scenes.sources import open_source

            system = open_source(str(self.matrix[0]), grid=self.grid, rhs=self.matrix[1])
            yield Step(system.problem, system.rhs)
        elif self.scene in fields.FIELDS:
            problem = fields.problem(self.scene, self.size, self.dim, self.contrast)
            yield Step(problem, noise(problem.grid.fluid))
        elif self.steps == 1:
            scene = gallery.scene(self.scene, self.size, self.dim, contrast=self.contrast)
            noisy = self.rhs == "noise"
            yield Step(scene.problem, noise(scene.problem.grid.fluid) if noisy else scene.rhs)
        else:
            yield from self._sequence()

    def _sequence(self) -> Iterator[Step]:
        """A moving boundary: each warm start is the pressure of the step before; cells that were a wall take their nearest neighbour's."""
        pressures: list[np.ndarray] = []
        nearest = None  # for each cell, the nearest one that was fluid in the step before

        def solve(problem: deepcg.Poisson, b: np.ndarray) -> np.ndarray:
            p, _ = deepcg.solve(problem, b, rtol=SIMULATION_RTOL)
            pressures.append(p)
            return p

        for scene in gallery.sequence(self.scene, self.size, self.dim, self.steps, solve=solve):
            fluid = scene.problem.grid.fluid
            guess = pressures[-1][nearest] if nearest is not None else pressures[-1]
            yield Step(scene.problem, scene.rhs, np.where(fluid, guess, 0.0))
            nearest = tuple(ndi.distance_transform_edt(~fluid, return_distances=False, return_indices=True))

    def facts(self, problem: deepcg.Poisson) -> dict[str, Any]:
        """What results say about the case."""
        return {
            "name": self.name,
            "scene": self.label or (self.matrix[0].name if self.matrix else ""),
            "size": self.size or max(problem.shape),
            "shape": list(problem.shape),
            "dim": problem.ndim,
            "rhs": self.rhs if not self.matrix else "given" if self.matrix[1] else "A x of a random x",
            "steps": self.steps,
            "unknowns": problem.size,
            "singular": bool(problem.singular),
        } | ({} if self.contrast is None else {"family": self.scene, "contrast": self.contrast})


def power(contrast: float) -> str:
    """A contrast with one digit, such as 1e6."""
    return f"{contrast:.0e}".replace("e+0", "e").replace("e+", "e")


def field(name: str, size: int, dim: int = 3, contrast: float | None = None) -> Case:
    """A case of `benchmarks.systems.fields`."""
    return Case(name, size, dim, rhs="noise", contrast=contrast)


def digest(*files: Path | None) -> str:
    """Eight hexadecimal digits of the files' contents: a file of the same name may be another system, or another network."""
    told = hashlib.sha256()
    for path in files:
        told.update(path.read_bytes() if path else b"none")
    return told.hexdigest()[:8]


def noise(fluid: np.ndarray) -> np.ndarray:
    """White noise over the fluid."""
    return np.where(fluid, np.random.default_rng(NOISE_SEED).standard_normal(fluid.shape), 0.0)


def sequence(size: int, steps: int = STEPS, dim: int = 3) -> Case:
    """The time sequence: a sphere that moves through the plume."""
    return Case("sphere", size, dim, steps=steps)


SCENES_3D = ("box", "plume", "bunny", "dam_break", "porous", "baffles", "cavity", "bubble", "stretched")
SCENES_2D = ("plume", "dam_break", "porous", "cavity", "bubble", "stretched")
