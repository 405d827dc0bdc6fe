"""The PETSc plugin on many ranks: as many iterations as on one, answers judged by PETSc's own product, what is refused."""

import json

import pytest

from tests.support.petsc_systems import RTOL, python

GATHER = "-pc_deepcg_gather", "60"  # so that small grids have levels on many ranks


CASES = {
    "open": "18x17x20",
    "walls": "16x18x17",
    "jumps": "14x16x18",
    "neumann": "33x40",
    "periodic": "32x30",
    "stretched": "24x20x16",
}


def run(ranks):
    cases = ",".join(f"{kind}:{shape}" for kind, shape in CASES.items())
    output = python(ranks, "on_ranks.py", cases, *GATHER)
    return json.loads(next(line for line in output.splitlines() if line.startswith("JSON"))[5:])


@pytest.fixture(scope="module")
def alone():
    return run(1)


@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
def test_iterations_do_not_depend_on_the_number_of_ranks(ranks, alone):
    solves = run(ranks)
    for kind in CASES:
        for method, (iterations, reason, residual) in solves[kind].items():
            assert reason > 0 and residual <= 1.1 * RTOL, (kind, method, reason, residual)
            assert abs(iterations - alone[kind][method][0]) <= 1, (kind, method)
    iterations, code, residual = solves["deepcg.solve"]
    assert code == 0 and residual <= 1.1 * RTOL and abs(iterations - alone["deepcg.solve"][0]) <= 1


def test_messages_are_counted():
    output = python(4, "on_ranks.py", "open:18x17x20", *GATHER, "-ksp_view", "-log_view")
    assert "exchanges a cycle, in which a rank receives at most" in output
    event = next(line for line in output.splitlines() if line.startswith("DeepcgCG"))
    assert float(event.split()[7]) > 0  # the column Mess


def test_what_is_refused_on_ranks():
    """Asymmetry across a border of ranks; -pc_deepcg_grid where layers are cut, beside where they are whole."""
    output = python(2, "refused_on_ranks.py")
    for text in (
        "one-sided: not symmetric: for two vectors x and y",
        "inside: not symmetric: row 10 (cell (1, 2)) couples to row 11 (cell (1, 3)) with weight 0.5, and that one back with 1;",
        "parts: -pc_deepcg_grid on several ranks needs whole layers of the grid on each of them",
        "dealt: the matrix's rows are dealt out to the ranks in another way than the DMDA's points",
        "slabs: differ by 0.0",
        "far: row 3 (cell (0, 3)) and the column of cell (7, 4) are coupled but no face neighbours",
    ):
        label, _, words = text.partition(": ")
        assert any(line.startswith(label) and words in line for line in output.splitlines()), (text, output)
