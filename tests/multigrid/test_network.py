"""The multilevel network: its kernels compute what its definition in PyTorch does, and it is SPD whatever its parameters."""

import ctypes

import numpy as np
import pytest

import deepcg
from deepcg.multigrid.parameters import Parameters
from deepcg.native import library as native
from deepcg.native.constants import (
    LEVEL_DIAGONAL,
    LEVEL_INTERP_NEIGHBOUR,
    LEVEL_INTERP_PARENT,
    LEVEL_OMEGA_DINV,
    LEVEL_WEIGHT,
)
from deepcg.scenes import gallery
from tests.support.cycles import on_grids

torch = pytest.importorskip("torch")

from deepcg.multigrid.cycle import MultilevelCycle  # noqa: E402
from deepcg.multigrid.reference.hierarchy import build_hierarchy  # noqa: E402
from deepcg.multigrid.reference.network import Multilevel  # noqa: E402

needs_kernels = pytest.mark.skipif(native.unavailable is not None, reason="needs the compiled kernels")

SEEDS = (None, 5, 6)  # None: classical parameters


def network(seed, sweeps=(2, 1, 3)):
    """With classical parameters, or with random ones all over what their bounds allow."""
    net = Multilevel(sweeps, local=seed is not None)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(1.5 * torch.randn(parameter.shape, generator=generator))
    return net.double()


def level_vector(cycle, level, what):
    """A vector of a level as the kernels hold it (`enum dcg_level_vector`)."""
    info = cycle.levels[level]
    values = np.empty(np.prod(info.shape) + info.secondary, np.float32)
    native.call("dcg_multilevel_vector", cycle._handle, level, what, ctypes.c_void_p(values.ctypes.data))
    return values


def cells(shape, solid=0.1, opened=0.0, seed=11):
    rng = np.random.default_rng([seed, *shape])
    kinds = (rng.random(shape) < solid).astype(np.uint8)
    kinds[rng.random(shape) < opened] = deepcg.OPEN
    return kinds


def field(shape, spread=1.0, seed=12):
    return np.exp(spread * np.random.default_rng([seed, *shape]).standard_normal(shape))


def walls(shape, seed=13):
    """Thin walls with holes, close enough together for blocks to be divided on several levels."""
    rng = np.random.default_rng([seed, *shape])
    kinds = np.zeros(shape, dtype=np.uint8)
    for at in range(2, max(shape) - 1, 3):
        axis = int(rng.integers(len(shape)))
        if at < shape[axis]:
            kinds[(slice(None),) * axis + (at,)] = deepcg.SOLID
    kinds[rng.random(shape) < 0.1] = deepcg.FLUID
    return kinds


def faces(shape, periodic=False, seed=14):
    """Face coefficients, many of them closed."""
    rng = np.random.default_rng([seed, *shape])
    weights = []
    for axis in range(len(shape)):
        size = tuple(n + (a == axis) for a, n in enumerate(shape))
        w = rng.random(size) * (rng.random(size) < 0.6)
        if periodic:
            w[(slice(None),) * axis + (-1,)] = w[(slice(None),) * axis + (0,)]
        weights.append(w)
    return weights


P = deepcg.Poisson
GRADED = [np.geomspace(1, 10, 13), np.full(16, 0.3), np.geomspace(5, 1, 12)]
CASES = {
    "porous": lambda: P(cells((11, 13, 12), 0.35)),
    "porous, open cells": lambda: P(cells((11, 14, 12), 0.3, 0.03)),
    "porous, coefficient": lambda: P(cells((11, 14, 12), 0.3, 0.03), coefficient=field((11, 14, 12), 2.0)),
    "porous 2-D": lambda: P(cells((33, 21), 0.35)),
    "mixed sides 2-D": lambda: P(cells((33, 21), 0.35, 0.02), boundary=[("open", "wall"), "periodic"]),
    "one level": lambda: P(cells((3, 4, 4), 0.1, 0.1)),
    "one level, coefficient": lambda: P(cells((3, 4, 4), 0.1, 0.1), coefficient=field((3, 4, 4))),
    "one cell": lambda: P(np.zeros((1, 1), np.uint8), boundary="open"),
    "graded": lambda: P(cells((13, 16, 12)), spacing=GRADED),
    "graded 2-D": lambda: P(
        cells((23, 16), 0.0), spacing=[np.geomspace(1, 30, 23), 1.0], boundary=["wall", "periodic"]
    ),
    "anisotropic": lambda: P(cells((13, 16, 12)), spacing=[1, 0.1, 5], boundary="open"),
    "shift": lambda: P(cells((13, 16, 12)), shift=0.1),
    "small shift": lambda: P(cells((13, 16, 12)), shift=1e-6),
    "shift field": lambda: P(cells((13, 16, 12)), shift=field((13, 16, 12))),
    "open layer": lambda: P(cells((1, 16, 12)), boundary=["open", "wall", "wall"]),
    "open layer along y": lambda: P(cells((16, 1, 12)), boundary=["wall", ("wall", "open"), "wall"]),
    "open layer along x, coefficient": lambda: P(
        cells((16, 12, 1)), boundary=["wall", "wall", "open"], coefficient=field((16, 12, 1))
    ),
    "open layer, coefficient": lambda: P(
        cells((1, 16, 12)), boundary=["open", "wall", "wall"], coefficient=field((1, 16, 12))
    ),
    "two layers": lambda: P(cells((2, 16, 12))),
    "two periodic layers": lambda: P(cells((2, 16, 12)), boundary=["periodic", "wall", "wall"]),
    "line along x": lambda: P(cells((1, 1, 100), 0.02)),
    "line along y, periodic": lambda: P(np.zeros((101, 1), np.uint8), boundary=["periodic", "wall"]),
    "walls": lambda: P(walls((15, 16, 17))),
    "walls 2-D": lambda: P(walls((30, 33))),
    "walls, periodic": lambda: P(walls((15, 16, 18)), boundary="periodic"),
    "walls, coefficient": lambda: P(
        walls((15, 16, 16)), boundary=["open", "wall", "periodic"], coefficient=field((15, 16, 16), 2.0)
    ),
    "narrow walls, periodic": lambda: P(walls((9, 10, 9)), boundary="periodic"),
    "closed faces": lambda: P(np.zeros((12, 14, 10), np.uint8), coefficient=faces((12, 14, 10))),
    "closed faces, periodic": lambda: P(
        np.zeros((12, 14, 9), np.uint8), coefficient=faces((12, 14, 9), True), boundary="periodic"
    ),
}
for sides in (
    ("periodic", "wall", "wall"),
    ("wall", "periodic", "wall"),
    ("wall", "wall", "periodic"),
    ("periodic",) * 3,
):
    for size in ((8, 10, 12), (9, 11, 13), (3, 5, 17)):
        word = " ".join(side[:4] for side in sides)
        CASES[f"{word} {size}"] = lambda sides=sides, size=size: P(cells(size), boundary=sides)
        CASES[f"{word} {size} coefficient"] = lambda sides=sides, size=size: P(
            cells(size), boundary=sides, coefficient=field(size)
        )
for dim, sizes in ((3, (12, 15, 20)), (2, (13, 20, 33))):
    for name in gallery.names(dim, rough=False):
        for size in sizes:
            CASES[f"{name} {dim}-D {size}"] = lambda name=name, size=size, dim=dim: gallery.scene(
                name, size, dim
            ).problem


def largest_difference(a, b):
    scale = np.abs(b).max(initial=0.0)
    return np.abs(a - b).max(initial=0.0) / scale if scale else np.abs(a).max(initial=0.0)


@needs_kernels
@pytest.mark.parametrize("case", CASES)
def test_kernels_compute_the_definition(case):
    problem = CASES[case]()
    hierarchy = build_hierarchy(problem)
    r = (np.random.default_rng(17).standard_normal(problem.shape) * problem.stencil.fluid).ravel()
    problem.components.project(r)
    for seed in SEEDS:
        net = network(seed)
        cycle = MultilevelCycle(problem, on_grids(net.bounded_parameters()), threads=1)
        with torch.inference_mode():
            levels = net.setup(hierarchy)
            expected = net(levels, torch.from_numpy(r)[None])[0].numpy().copy()
        assert [(i.shape, i.unknowns, i.secondary) for i in cycle.levels] == [
            (level.shape, np.count_nonzero(level.active), len(level.secondary_cell)) for level in hierarchy.levels
        ]
        for number, values in enumerate(levels.values):
            if number == 0 and hierarchy.unit:
                continue  # the kernels keep one byte a cell instead
            vectors = {LEVEL_DIAGONAL: values.diagonal.numpy(), LEVEL_OMEGA_DINV: values.relaxation.numpy()}
            vectors = {what: np.where(values.level.active, v, 0.0) for what, v in vectors.items()}
            vectors |= {LEVEL_WEIGHT + axis: face.numpy().ravel() for axis, face in enumerate(values.faces)}
            for what, vector in vectors.items():
                found = level_vector(cycle, number, what)[: vector.size]
                if what == LEVEL_DIAGONAL:
                    found = np.where(values.level.active, found, 0.0)
                assert largest_difference(found, vector) < 1e-5, (seed, number, what)
            if number:
                transfer = levels.values[number - 1].prolongation.transfer
                for what, table in (
                    (LEVEL_INTERP_PARENT, transfer.interp_parent),
                    (LEVEL_INTERP_NEIGHBOUR, transfer.interp_neighbour),
                ):
                    for place, vector in enumerate(table.reshape(6, -1).numpy()):
                        found = level_vector(cycle, number, what + place)[: vector.size]
                        assert largest_difference(found, vector) < 1e-5, (seed, number, what + place)
        z = cycle(r)
        for v in (z, expected):
            problem.components.project(v)
        assert largest_difference(z, expected) < 1e-5, seed


def spectrum(problem, net):
    """Asymmetry of M, relative to its largest entry, and the eigenvalues of M A on the range of A."""
    unknowns = np.flatnonzero(problem.stencil.fluid)
    with torch.inference_mode():
        levels = net.setup(problem)
        rows = []
        for part in np.array_split(unknowns, len(unknowns) // 256 + 1):
            b = np.zeros((len(part), problem.stencil.fluid.size))
            b[np.arange(len(part)), part] = 1.0
            rows.append(net(levels, torch.from_numpy(b)).numpy()[:, unknowns])
    m = np.concatenate(rows)
    values, vectors = np.linalg.eigh(problem.stencil.matrix().toarray())
    root = vectors[:, values > 1e-9 * values.max()] * np.sqrt(values[values > 1e-9 * values.max()])
    return np.abs(m - m.T).max() / np.abs(m).max(), np.linalg.eigvalsh(root.T @ (0.5 * (m + m.T)) @ root)


def check_spd(problem, seed, sweeps):
    asymmetry, eigenvalues = spectrum(problem, network(seed, sweeps))
    assert asymmetry < 1e-13
    assert eigenvalues[0] > 0.05  # the proof says > 0


SPECTRA = [f"{name} {dim}-D" for dim in (2, 3) for name in gallery.names(dim, rough=False)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SPECTRA)
def test_symmetric_and_positive_definite(name, seed):
    dim = int(name[-3])
    check_spd(gallery.scene(name[:-4], {2: 28, 3: 10}[dim], dim).problem, seed, (1, 2))


@pytest.mark.parametrize("case", ["narrow walls, periodic", "peri peri peri (3, 5, 17) coefficient", "porous 2-D"])
def test_symmetric_and_positive_definite_where_colours_would_couple(case):
    for seed in SEEDS:
        check_spd(CASES[case](), seed, (1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", gallery.names(3, rough=False))
def test_symmetric_and_positive_definite_at_16(name):
    check_spd(gallery.scene(name, 16, 3).problem, SEEDS[1], (1,))


def test_untrained_network_is_the_classical_cycle():
    problem = CASES["porous, coefficient"]()
    r = torch.from_numpy(
        problem.stencil.fluid.ravel() * np.random.default_rng(19).standard_normal(problem.stencil.fluid.size)
    )
    answers = []
    with torch.inference_mode():
        for net in (
            Multilevel((1, 2)).double(),
            Multilevel.from_parameters(Parameters.classical((1, 2), omega=1.0)).double(),
        ):
            answers.append(net(net.setup(problem), r[None]))
    torch.testing.assert_close(*answers, rtol=1e-6, atol=1e-12)


def test_weights_and_back():
    net = network(5)
    parameters = net.bounded_parameters()
    again = Multilevel.from_parameters(parameters).bounded_parameters()
    assert again.local == parameters.local
    for name, value in parameters.tensors().items():
        np.testing.assert_allclose(again.tensors()[name], value, rtol=2e-6)


def test_gradients_are_those_of_differences():
    """Through the set-up too: local factors change couplings, transfers and the coarsest inverse."""
    problem = CASES["walls, coefficient"]()
    net = network(6, (1,))
    r = torch.from_numpy(
        problem.stencil.fluid.ravel() * np.random.default_rng(23).standard_normal(problem.stencil.fluid.size)
    )

    def value():
        return (net(net.setup(problem), r[None]) * r).sum()

    value().backward()
    step = 1e-6
    for parameter in (p for p in net.parameters() if p.grad is not None):  # the relaxation_table is for unit weights
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        at = int(gradient.abs().argmax())
        kept = flat[at].item()
        sides = []
        for sign in (1, -1):
            flat[at] = kept + sign * step
            with torch.inference_mode():
                sides.append(value().item())
        flat[at] = kept
        assert gradient[at].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)
