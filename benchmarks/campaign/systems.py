"""A system of the campaign, from a seed and a number: how it is given to deepcg, and the rows it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.campaign import grids, matrices, vectors
from benchmarks.campaign.assembly import FLUID, assemble
from benchmarks.campaign.grids import Tags, pick
from benchmarks.campaign.rows import Rows, norm

RANKS = 2


@dataclass
class System:
    """Attributes
    ----------
    way : str
        "Poisson", "Solver", "matrix", "KSP deepcg", "CG with PC deepcg", or "2 ranks".
    arguments : dict
        Of `deepcg.Poisson`; for a matrix, of `deepcg.solve`.
    earlier : dict or None
        Of way "Solver": what the solver served before its `update`.
    A : sparse matrix or None
        As its user holds it.
    rows : Rows
        What the answer is judged by.
    unknowns : bool array or None
        b and x have the cells' shape, and the rows are these of them.
    settings : dict
        rtol, atol, maxiter, method, window of `deepcg.solve`.
    model : str
        A name for `model=`, or a kind of parameters that `benchmarks.campaign.parameters` makes.
    null_space : bool
        Of PETSc's: the constants are attached to the matrix.
    """

    seed: int
    number: int
    way: str
    tags: Tags
    rows: Rows
    b: np.ndarray
    arguments: dict[str, Any] = field(default_factory=dict)
    earlier: dict[str, Any] | None = None
    A: Any = None
    unknowns: np.ndarray | None = None
    x0: np.ndarray | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = "auto"
    callback: bool = False
    null_space: bool = False

    def over_rows(self, v: np.ndarray) -> np.ndarray:
        """Values per row of a vector as the user has it."""
        return v[self.unknowns] if self.unknowns is not None else v.reshape(-1)


def generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number])


def way_of(rng: np.random.Generator) -> str:
    return pick(rng, Poisson=4, Solver=1, matrix=3.5, KSP_deepcg=0.9, CG_with_PC_deepcg=0.3, on_2_ranks=0.3)


def draw(seed: int, number: int) -> System:
    """The system of this seed and number."""
    rng, tags = generator(seed, number), {}
    way = way_of(rng)
    made = grids.grid(rng, tags)
    while way == "on 2 ranks" and made["cells"].shape[0] < RANKS:
        tags.clear()
        made = grids.grid(rng, tags)
    factor = 1.0
    if way in ("Poisson", "Solver") and rng.random() < 0.12:
        factor = 10 ** matrices.scale_power(rng, tags, 1e20)  # widths and contrasts make the largest weight
    made, rows = with_coefficients(rng, tags, made, factor)
    if way in ("Poisson", "Solver"):
        system = of_cells(rng, tags, way, made, rows)
        if way == "Solver":
            before = {name: made[name] for name in ("cells", "spacing", "boundary")}
            if rng.random() < 0.3:
                before["cells"] = grids.solids(rng, {}, made["cells"].shape)
            system.earlier, _ = with_coefficients(rng, {}, before, 1.0)
    else:
        system = of_matrix(rng, tags, way, made, rows)
    system.seed, system.number = seed, number
    system.settings = settings(rng, tags, system)
    system.model = pick(
        rng,
        auto=6,
        multigrid=1,
        jacobi=0.7,
        none=0.5,
        random_parameters=0.7,
        huge_parameters=0.3,
        flipped_parameters=0.3,
        zero_parameters=0.2,
    )
    if "KSP" in way or "PC" in way or way == "on 2 ranks":
        system.model = "auto" if system.model in ("jacobi", "none", "huge parameters") else system.model
    if way == "on 2 ranks" and "parameters" in system.model:
        system.model = "multigrid"
    tags["model"] = system.model
    system.callback = way in ("Poisson", "matrix") and rng.random() < 0.1
    tags["callback"] = system.callback
    return system


def with_coefficients(rng, tags: Tags, made: dict[str, Any], factor: float) -> tuple[dict[str, Any], Rows]:
    """The arguments of `deepcg.Poisson`, with coefficient and shift times a factor, and their rows."""
    beta = grids.coefficient(rng, tags, made)
    if factor != 1.0:
        beta = (
            np.full(made["cells"].shape, factor)
            if beta is None
            else [f * factor for f in beta]
            if isinstance(beta, list)
            else beta * factor
        )
    free = assemble(**made, coefficient=beta, shift=None)
    diagonal = np.asarray(free.diagonal, dtype=np.float64)
    typical = float(np.median(diagonal[diagonal > 0])) if (diagonal > 0).any() else factor
    shift = grids.shift(rng, tags, made["cells"].shape, min(typical, 1e299))
    made = {**made, "coefficient": beta, "shift": shift}
    return made, free if shift is None else assemble(**made)


def of_cells(rng, tags: Tags, way: str, made: dict[str, Any], rows: Rows) -> System:
    b, known = vectors.right_hand_side(rng, tags, rows)
    x0 = vectors.guess(rng, tags, rows.size, known)
    unknowns = None
    tags["n"] = rows.size
    if rng.random() < 0.7:
        unknowns = made["cells"] == FLUID
        elsewhere = rng.choice([0.0, 1.0]) * np.abs(b).max(initial=0.0)
        b, x0 = (spread(v, unknowns, value) for v, value in ((b, elsewhere), (x0, 0.0)))
    return System(0, 0, way, tags, rows, b, made, unknowns=unknowns, x0=x0)


def spread(v: np.ndarray | None, unknowns: np.ndarray, elsewhere: float) -> np.ndarray | None:
    if v is None:
        return None
    full = np.full(unknowns.shape, elsewhere)
    full[unknowns] = v
    return full


def of_matrix(rng, tags: Tags, way: str, made: dict[str, Any], rows: Rows) -> System:
    petsc = way != "matrix"
    wide = not petsc  # PETSc's own norms and inner products underflow
    A, arguments = matrices.matrix(rng, tags, made, rows, simple=petsc, scaled=wide)
    if petsc:
        A = sp.csr_array(A, dtype=np.float64)
        arguments = {"shape": made["cells"].shape}
    given = Rows.of_matrix(sp.csr_array(A))
    tags["n"] = given.size
    b, known = vectors.right_hand_side(rng, tags, given, wide=wide)
    if tags["matrix"] == "penalty" and rng.random() < 0.5:
        large = np.abs(given.own) > 1e7 * np.median(np.abs(np.asarray(given.diagonal, dtype=float)))
        b = np.where(
            large, np.clip(given.own * np.abs(b).max(), -vectors.LARGEST, vectors.LARGEST).astype(np.float64), b
        )
    b = np.clip(b, -vectors.LARGEST, vectors.LARGEST)
    x0 = vectors.guess(rng, tags, given.size, known, wide=wide)
    if way == "CG with PC deepcg":  # it needs a consistent b, and takes the norm of the first residual where b = 0
        b = given.projected(b, given.singular(4)).astype(np.float64)
        x0 = x0 if b.any() else None
    system = System(0, 0, way, tags, given, b, arguments, A=A, x0=x0)
    system.null_space = petsc and bool(given.singular(4).all()) and (given.component == 0).all() and rng.random() < 0.7
    tags["null space"] = system.null_space
    return system


def settings(rng, tags: Tags, system: System) -> dict[str, Any]:
    rtol, atol = vectors.tolerances(rng, tags, system.over_rows(system.b))
    if system.way == "CG with PC deepcg":  # beyond that its recurrence drifts
        rtol, atol = max(rtol, 1e-8), max(atol, 1e-8 * float(norm(system.b)))
    made: dict[str, Any] = {"rtol": rtol, "atol": atol}
    if rng.random() < 0.04:
        made["maxiter"] = int(rng.integers(0, 6))
    method = pick(rng, auto=6, cg=2, dcd=3)
    if method == "dcd" and rng.random() < 0.5:
        made["window"] = [None, 1, 2, 5][int(rng.integers(4))]
    if method != "auto":
        made["method"] = method
    tags["method"] = method
    tags["rtol"], tags["atol"] = float(f"{rtol:.1e}"), float(f"{atol:.1e}")
    if "maxiter" in made:
        tags["maxiter"] = made["maxiter"]
    return made
