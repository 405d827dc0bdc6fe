"""No weights can make an answer wrong: random, zero, huge, of the other sign; NaN is refused. They cost iterations, and those are bounded."""

import numpy as np
import pytest

import deepcg
from benchmarks.campaign import parameters
from deepcg.io import model_file
from deepcg.multigrid.cycle import MultilevelCycle
from deepcg.multigrid.parameters import Parameters
from tests.support.promise import Answer, by_ksp, by_solve, held, right_or_honest

FALLBACK = 40
"""Iterations that finding out that a network is useless may cost, beside twice those of plain conjugate gradients."""


def problems():
    rng = np.random.default_rng(4)
    cells = (rng.random((24, 24)) < 0.15).astype(np.uint8)
    return {
        "open square": deepcg.Poisson(np.zeros((24, 24), np.uint8), boundary="open"),
        "obstacles": deepcg.Poisson(cells, boundary=[("wall", "open"), "wall"]),
        "jumps": deepcg.Poisson(np.zeros((10, 10, 10), np.uint8), coefficient=10.0 ** rng.choice([-1, 1], (10, 10, 10)), boundary="open"),
        "weak anchor": deepcg.Poisson(np.zeros((24, 24), np.uint8), shift=1e-6),
    }  # fmt: skip


PROBLEMS = problems()


@pytest.mark.parametrize("name", list(PROBLEMS))
@pytest.mark.parametrize("kind", parameters.KINDS)
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_any_parameters_give_the_right_answer(kind, name, method):
    problem = PROBLEMS[name]
    b = np.random.default_rng(0).standard_normal(problem.size)
    plain = by_solve(problem, b, None, model="none")
    answer = held(
        problem.matrix(), by_solve(problem, b, None, model=parameters.model(kind, problem.ndim), method=method), b
    )
    assert answer.iterations <= 2 * plain.iterations + FALLBACK, answer.text


@pytest.mark.parametrize("kind", [kind for kind in parameters.KINDS if kind != "huge parameters"])
def test_any_parameters_in_petsc(kind):
    problem = PROBLEMS["open square"]
    b = np.random.default_rng(0).standard_normal(problem.size)
    held(problem.matrix(), by_ksp(problem.matrix(), b, (24, 24), pc_deepcg_model=str(parameters.file_of(kind, 2))), b)


@pytest.mark.parametrize("seed", range(10))
def test_random_parameters_within_the_bounds(seed):
    rng, problem = np.random.default_rng(seed), PROBLEMS["obstacles"]
    tensors = Parameters.classical().tensors()
    for name in ("hidden_weight", "hidden_bias", "output_weight", "output_bias"):
        tensors[name] = (10 ** rng.uniform(-3, 30) * rng.standard_normal(tensors[name].shape)).astype(np.float32)
    tensors["omega"] = rng.uniform(1e-6, 1.4999, tensors["omega"].shape)
    tensors["relaxation_table"] = rng.uniform(0.7501, 1.2499, tensors["relaxation_table"].shape)
    b = rng.standard_normal(problem.size)
    made = MultilevelCycle(problem, Parameters(**tensors), "random")
    held(problem.matrix(), by_solve(problem, b, None, model=made), b)


@pytest.mark.parametrize(
    "name", ["omega", "relaxation_table", "hidden_weight", "hidden_bias", "output_weight", "output_bias"]
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_no_numbers_are_refused(name, value):
    tensors = {key: np.array(array) for key, array in Parameters.classical().tensors().items()}
    tensors[name].reshape(-1)[-1] = value
    with pytest.raises(ValueError, match=name):
        Parameters(**tensors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dim", [2, 3])
def test_a_file_with_such_parameters_is_refused(dim, value, tmp_path):
    """By Python and by the kernels: by the hash if they were put in later, by their bounds else."""
    tensors, description = model_file.load(model_file.resolve("multilevel", dim))
    tensors = {key: np.array(array) for key, array in tensors.items()}
    tensors["output_bias"][0] = value
    described = {key: kept for key, kept in description.items() if key not in ("hash", "format", "version")}
    path = tmp_path / "broken.safetensors"
    problem = deepcg.Poisson(np.zeros((8,) * dim, np.uint8), boundary="open")
    with pytest.raises(ValueError):
        model_file.save(path, tensors, described)
        deepcg.solve(problem, np.ones((8,) * dim), model=path)


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1e300, np.nan])
@pytest.mark.parametrize("method", ["cg", "dcd"])
def test_an_operator_that_answers_so(factor, method):
    """The user's own operator says nothing true about itself."""
    problem = PROBLEMS["open square"]
    b = np.random.default_rng(0).standard_normal(problem.size)
    A = problem.matrix()
    plain = by_solve(problem, b, None, model="none")
    x, info = deepcg.solve(problem, b, model=lambda r: factor * r, method="dcd" if method == "dcd" else "auto")
    answer = Answer(x, int(info) == 0, info.iterations, text=repr(info))
    right_or_honest(A, answer, b)
    assert answer.iterations <= 2 * plain.iterations + FALLBACK, answer.text
