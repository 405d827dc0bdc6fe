"""The sparse levels: parts and conductances against their definition spelled out, spectra, iterations, gradients."""

import numpy as np
import pytest

import deepcg

torch = pytest.importorskip("torch")

from deepcg.multigrid.reference.hierarchy import finest_values  # noqa: E402
from deepcg.multigrid.reference.sparse_conductances import (  # noqa: E402
    Parts,
    Surroundings,
    next_level,
    plan_parts,
    series,
)
from deepcg.multigrid.reference.sparse_cycle import Rule, SparseCycle  # noqa: E402
from deepcg.multigrid.reference.sparse_levels import (  # noqa: E402
    SparseLevel,
    edge_axis,
    finest_sparse_level,
    move,
)
from deepcg.multigrid.reference.sparse_split import split  # noqa: E402

LIKE = torch.zeros(1, dtype=torch.float64)


def smooth(rng, shape):
    """Correlated over a few cells, of variance one."""
    g = rng.standard_normal(shape)
    for _ in range(4):
        for a in range(len(shape)):
            g = 0.5 * g + 0.25 * (np.roll(g, 1, a) + np.roll(g, -1, a))
    return g / g.std()


def diagonal_channels(shape):
    at = np.indices(shape)
    return (at[-1] + at[-2]) % 7 < 2


def layers(rng, shape):
    return np.exp(3.0 * rng.standard_normal((shape[0],) + (1,) * (len(shape) - 1))) * np.ones(shape)


def crossing_channels(rng, shape):
    k = np.ones(shape)
    for _ in range(6):
        run = [slice(p, p + 1) for p in rng.integers(0, np.array(shape) - 1)]
        run[rng.integers(len(shape))] = slice(None)
        k[tuple(run)] = 1e5
    return k


FIELDS = {
    "uniform": lambda rng, shape: np.ones(shape),
    "lognormal, smooth": lambda rng, shape: np.exp(4.0 * smooth(rng, shape)),
    "lognormal, white": lambda rng, shape: np.exp(3.0 * rng.standard_normal(shape)),
    "inclusions 1e2": lambda rng, shape: np.where(rng.random(shape) < 0.2, 1e2, 1.0),
    "inclusions 1e6": lambda rng, shape: np.where(rng.random(shape) < 0.2, 1e6, 1.0),
    "inclusions 1e8": lambda rng, shape: np.where(rng.random(shape) < 0.2, 1e8, 1.0),
    "stiff blobs": lambda rng, shape: np.where(smooth(rng, shape) > 0.5, 1e8, 1.0),
    "soft blobs": lambda rng, shape: np.where(smooth(rng, shape) > 0.5, 1e-6, 1.0),
    "diagonal channels 1e3": lambda rng, shape: np.where(diagonal_channels(shape), 1e3, 1.0),
    "diagonal channels 1e6": lambda rng, shape: np.where(diagonal_channels(shape), 1e6, 1.0),
    "layers": layers,
    "crossing channels": crossing_channels,
}
SIDES = {
    "open": ["open", "wall", "wall"],
    "periodic": ["open", "periodic", "periodic"],
    "one side": ["open"] + ["wall"] * 2,
}


def problem(name, shape, sides="open", seed=31, solid=0.0, shift=None):
    rng = np.random.default_rng([seed, *shape])
    kinds = (rng.random(shape) < solid).astype(np.uint8)
    coefficient = FIELDS[name](rng, shape)
    return deepcg.Poisson(kinds, coefficient=coefficient, boundary=SIDES[sides][: len(shape)], shift=shift)


def finest(p):
    hierarchy = finest_values(p)
    level, _ = finest_sparse_level(hierarchy, LIKE)
    return level, [np.ones(n) for n in level.shape]


def preconditioner(level, widths, rule=None):
    cycle = SparseCycle(level, widths, rule)
    return cycle, cycle(torch.eye(level.unknowns, dtype=LIKE.dtype))


def spectrum(level, m):
    """Eigenvalues of M A, A definite."""
    root = torch.linalg.cholesky(level.dense())
    return torch.linalg.eigvalsh(root.T @ m @ root)


def iterations(level, cycle, rtol=1e-6, seed=5):
    """Of conjugate gradients for a white b."""
    b = torch.as_tensor(np.random.default_rng(seed).standard_normal((level.unknowns, 1)))
    x, r = torch.zeros_like(b), b
    z = cycle(r)
    p, rz = z, (r * z).sum()
    for count in range(1, 100):
        q = level.apply(p)
        alpha = rz / (p * q).sum()
        x, r = x + alpha * p, r - alpha * q
        if r.norm() <= rtol * b.norm():
            return count
        z = cycle(r)
        rz, before = (r * z).sum(), rz
        p = z + rz / before * p
    return count


def graph(cells, edges, dirichlet=None, shape=None, periodic=(False, False, False)):
    """A level in one row of cells, from {(u, v): w}."""
    n = len(cells)
    low, high = np.array(sorted(edges), dtype=np.int64).reshape(-1, 2).T
    weight = torch.tensor([float(edges[pair]) for pair in sorted(edges)], dtype=LIKE.dtype)
    at = np.zeros((3, n), dtype=np.int64)
    at[2] = cells
    a = torch.zeros(n, dtype=LIKE.dtype) if dirichlet is None else torch.tensor(dirichlet, dtype=LIKE.dtype)
    return SparseLevel(shape or (1, 1, max(cells) + 1), periodic, at, low, high, weight, a, torch.zeros_like(a))


# --- moves and parts


def test_an_unknown_that_hangs_on_one_edge_goes_to_the_cell_at_its_other_end():
    level = graph([0, 1, 2, 3], {(0, 1): 1.0, (1, 2): 10.0, (2, 3): 100.0})
    assert move(level, 0.4)[2].tolist() == [1, 2, 2, 2]  # 2 and 3: d_2 > d_3; 1 hangs on 2, and 0 on 1
    assert move(level, 0.95)[2].tolist() == [1, 1, 2, 2]  # 10 of 11 is no longer enough


def test_a_chain_of_equal_edges_does_not_pile_up():
    level = graph(list(range(9)), {(i, i + 1): 1.0 for i in range(8)})
    moved = move(level, 0.4)[2]
    assert np.bincount(moved).max() == 3
    assert np.abs(moved - np.arange(9)).max() == 1


def test_edges_have_an_axis_where_their_cells_are_neighbours():
    edges = {(0, 1): 1.0, (0, 2): 1.0, (0, 3): 1.0, (1, 2): 1.0}
    cells = [0, 0, 1, 3]
    walls, ring = graph(cells, edges), graph(cells, edges, periodic=(False, False, True))
    assert edge_axis(walls, walls.cell).tolist() == [-1, 2, -1, 2]
    assert edge_axis(ring, ring.cell).tolist() == [-1, 2, 2, 2]


def greedy(level, block, theta):
    """`split` as its docstring states it: one block after the other, one merge after the other."""
    w = -level.dense().numpy()
    d = level.diagonal.numpy()
    found = []
    for b in np.unique(block):
        parts = [[u] for u in np.flatnonzero(block == b) if level.carried[u]]
        while True:
            best, pair = -1.0, None
            for i in range(len(parts)):
                for j in range(i + 1, len(parts)):
                    q = w[np.ix_(parts[i], parts[j])].sum() / min(d[parts[i]].sum(), d[parts[j]].sum())
                    if q > best:
                        best, pair = q, (i, j)
            if pair is None or best < theta:
                break
            i, j = pair
            parts[i] += parts.pop(j)
            parts.sort(key=min)
        found += parts
    part = np.full(level.unknowns, -1)
    for number, members in enumerate(found):
        part[members] = number
    return part


@pytest.mark.parametrize("name", ["lognormal, white", "inclusions 1e2", "uniform"])
@pytest.mark.parametrize("shape", [(14, 13), (7, 6, 8)])
def test_parts_are_those_of_the_greedy_rule(name, shape):
    """Sums of these weights are exact where two pairs tie: the order of the sums decides nothing."""
    level, _ = finest(problem(name, shape, solid=0.1, shift=0.01 if name == "lognormal, white" else None))
    for coarsening in (2, 3):  # blocks of up to 4 and 9, or 8 and 27 cells
        block = np.ravel_multi_index(tuple(level.cell // coarsening), level.shape)
        part, block_of = split(level, block, 0.1)
        assert np.array_equal(part, greedy(level, block, 0.1))
        inside = part >= 0
        assert np.array_equal(block_of[part[inside]], block[inside])
        assert part.max() + 1 >= np.unique(block[inside]).size
    if name != "uniform":
        assert part.max() + 1 > np.unique(block[inside]).size  # some block was split


# --- conductances


def test_conductances_follow_the_formula():
    """Five unknowns in a row, the outer blocks rigid along the row, with a Dirichlet coupling at the end."""
    w = [8.0, 2.0, 3.0, 4.0]
    level = graph([0, 1, 2, 3, 4], {(i, i + 1): w[i] for i in range(4)}, dirichlet=[6.0, 0, 0, 0, 0])
    parts = Parts(
        (1, 1, 3), np.array([[0] * 3, [0] * 3, range(3)]), np.array([0, 0, 1, 1, 2]), edge_axis(level, level.cell)
    )
    around = Surroundings(level, parts)
    d = [14.0, 10.0, 5.0, 7.0, 4.0]

    def g(w, left, right):
        return max(0.5 * w, 0.85 / (left + 1.0 / w + right))

    low = 14.0 / (14.0 + 10.0) / 8.0, 7.0 / (7.0 + 5.0) / 3.0
    expected = g(2.0, low[0], low[1]), g(4.0, 5.0 / (5.0 + 7.0) / 4.0, 0.0)
    assert level.diagonal.tolist() == d
    assert np.allclose(series(around, around.resistances()).numpy(), expected, rtol=1e-14)
    coarse = next_level(around, series(around, around.resistances()))
    assert np.allclose(coarse.weight.numpy(), expected)
    assert np.allclose(coarse.dirichlet.numpy(), [6.0 / (1.0 + 6.0 / 16.0), 0.0, 0.0])


def test_an_unknown_that_is_held_goes_no_further_and_holds_its_neighbours():
    """The second of five is held by a large coupling: its edges become couplings of the first and of the third."""
    level = graph([0, 1, 2, 3, 4], {(i, i + 1): 1.0 for i in range(4)}, dirichlet=[0.5, 50.0, 0.0, 0.0, 0.0])
    assert level.carried.tolist() == [True, False, True, True, True]
    parts = plan_parts(level, (np.zeros(1, int), np.zeros(1, int), np.arange(5) // 2), level.cell, split)
    assert parts.part.tolist() == [0, -1, 1, 1, 2]
    around = Surroundings(level, parts)
    assert around.crossing.tolist() == [3]
    coarse = next_level(around, series(around, around.resistances()))
    assert (coarse.low.tolist(), coarse.high.tolist()) == ([1], [2])
    assert np.allclose(coarse.dirichlet.numpy(), [1.5 / 1.5, 1.0 / 1.5, 0.0])
    assert np.allclose(next_level(around, None).dirichlet.numpy(), [1.5, 1.0, 0.0])


def test_stiff_inclusions_at_an_open_side_do_not_stall_the_coarsening():
    level, widths = finest(problem("inclusions 1e8", (20, 20, 20)))
    assert SparseCycle(level, widths).stages[-1].level.unknowns <= 200


def test_relaxation_alone_solves_where_every_unknown_is_held():
    level, widths = finest(problem("uniform", (20, 20), shift=100.0))
    cycle = SparseCycle(level, widths)
    assert [stage.level.unknowns for stage in cycle.stages] == [400, 0]
    assert iterations(level, cycle) <= 4


@pytest.mark.parametrize("name", FIELDS)
def test_coarse_operators_lie_between_half_the_galerkin_operator_and_the_whole(name):
    level, _ = finest(problem(name, (9, 8, 7), shift=0.02))
    parent = tuple(np.arange(n) // 2 for n in level.shape)
    parts = plan_parts(level, parent, level.cell, split)
    around = Surroundings(level, parts)
    coarse = next_level(around, series(around, around.resistances())).dense()
    galerkin = next_level(around, None).dense()
    p = torch.zeros(level.unknowns, parts.count, dtype=LIKE.dtype)
    members = np.flatnonzero(parts.part >= 0)
    p[members, parts.part[members]] = 1.0
    assert torch.allclose(galerkin, p.T @ level.dense() @ p, rtol=1e-10, atol=1e-12)
    size = galerkin.diagonal().max()
    assert torch.linalg.eigvalsh(galerkin - coarse).min() > -1e-12 * size
    assert torch.linalg.eigvalsh(coarse - 0.5 * galerkin).min() > -1e-12 * size


# --- the cycle

SHAPES = ((18, 17), (8, 7, 9))


@pytest.mark.parametrize("sides", ("open", "periodic"))
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_cycle_is_symmetric_and_its_spectrum_within_0_and_2(name, shape, sides):
    level, widths = finest(problem(name, shape, sides))
    cycle, m = preconditioner(level, widths, Rule(direct=8))
    assert len(cycle.stages) > 2
    assert float((m - m.T).abs().max() / m.abs().max()) < 1e-7  # contrasts of 1e8 leave half the digits
    values = spectrum(level, 0.5 * (m + m.T))
    assert values.min() > 0.1
    assert values.max() < 2.0


@pytest.mark.parametrize("seed", range(4))
def test_any_conductances_within_the_bounds_keep_the_spectrum_within_0_and_2(seed):
    class Random(Rule):
        """Anything in [w / 2, w], any factor in (0, 1], Chebyshev's sweeps."""

        def conductances(self, around, number):
            m = len(around.crossing)
            return around.w[:m] * (0.5 + 0.5 * torch.as_tensor(rng.random(m) > 0.5).double())

        def relaxation(self, around, number):
            return torch.as_tensor(rng.uniform(0.2, 1.0, around.level.unknowns))

    rng = np.random.default_rng(seed)
    for name in ("lognormal, white", "inclusions 1e6", "diagonal channels 1e6"):
        level, widths = finest(problem(name, SHAPES[seed % 2], seed=seed))
        _, m = preconditioner(level, widths, Random(direct=8, omega=((0.566, 1.577), (0.9,))))
        values = spectrum(level, 0.5 * (m + m.T))
        assert values.min() > 0.0
        assert values.max() < 2.0


MOST = {"uniform": 6, "lognormal, white": 16, "inclusions 1e2": 12, "inclusions 1e6": 15, "inclusions 1e8": 15}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("shape", [(64, 64), (20, 21, 20)])
def test_iterations_do_not_depend_on_the_contrast(name, shape):
    level, widths = finest(problem(name, shape))
    with torch.no_grad():
        assert iterations(level, SparseCycle(level, widths)) <= MOST.get(name, 11)


def test_gradients_flow_from_the_residual_to_conductances_and_relaxation():
    class Scaled(Rule):
        def conductances(self, around, number):
            return super().conductances(around, number) * (1.0 + 0.1 * edge)

        def relaxation(self, around, number):
            return around.level.diagonal.new_ones(around.level.unknowns) * (1.0 - 0.1 * node)

    level, widths = finest(problem("lognormal, white", (12, 13)))
    b = torch.as_tensor(np.random.default_rng(1).standard_normal((level.unknowns, 2)))

    def output():
        return (SparseCycle(level, widths, Scaled(direct=8))(b) ** 2).sum()

    edge, node = (torch.zeros((), dtype=LIKE.dtype, requires_grad=True) for _ in range(2))
    output().backward()
    for parameter in (edge, node):
        gradient, h = float(parameter.grad), 1e-5
        with torch.no_grad():
            parameter += h
            above = float(output())
            parameter -= 2 * h
            below = float(output())
            parameter += h
        assert gradient != 0.0
        assert np.isclose((above - below) / (2 * h), gradient, rtol=1e-5)


def test_pockets_and_floating_components_are_solved_too():
    """Solids leave pockets without any Dirichlet coupling; CG for a compatible b converges all the same."""
    shape = (24, 25)
    p = problem("inclusions 1e6", shape, solid=0.4)
    level, widths = finest(p)
    _, m = preconditioner(level, widths)
    a = level.dense()
    values = torch.linalg.eigvalsh(a)
    assert (values < 1e-12 * values.max()).sum() > 1
    x = torch.as_tensor(np.random.default_rng(3).standard_normal((level.unknowns, 1)))
    error = x
    for _ in range(40):
        error = error - m @ (a @ error)
    energy = (error * (a @ error)).sum() / (x * (a @ x)).sum()
    assert energy < 1e-6
