"""The study of what is left to gain on rough coefficients: its counting, its exact methods, its search, its summary, at tiny sizes."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.studies import contrast_ceiling as study  # noqa: E402
from deepcg.multigrid.reference.sparse_cycle import Rule, SparseCycle  # noqa: E402

SIZES = {2: 20, 3: 8}


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    """The study's program sets the threads of its process, which the tests after it share."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def chosen():
    return study.systems(SIZES, [3])


def of_kind(chosen, kind, dim=2):
    return next(system for system in chosen if (system.kind, system.dim) == (kind, dim))


def test_every_kind_is_there_in_both_dimensions_and_differs_by_the_seed(chosen):
    assert len(chosen) == 28
    again, other = (study.fields(16, 2, seed)["lognormal, white"] for seed in (3, 4))
    assert np.array_equal(again, study.fields(16, 2, 3)["lognormal, white"])
    assert not np.array_equal(again, other)


def test_iterations_have_fractions_of_the_last_step():
    """Steepest descent's first step on a multiple of the identity is exact; half a digit a step counts as it should."""
    b = torch.ones((4, 1), dtype=torch.float64)
    assert 0.0 < study.iterations(lambda x: 2.0 * x, b, lambda r: r) <= 1.0
    scale = torch.tensor([[1.0], [1.0], [4.0], [4.0]], dtype=torch.float64)
    assert 1.0 < study.iterations(lambda x: scale * x, b, lambda r: r) <= 2.0
    exact = study.iterations(lambda x: scale * x, b, lambda r: r, rtol=0.6)
    assert exact == pytest.approx(np.log(1 / 0.6) / np.log(1 / 0.6), abs=1e-9)  # the first step leaves just 0.6


def test_counted_bytes_are_those_of_the_levels_by_hand():
    level = study.systems({2: 20}, [3])[0].level
    cycle = SparseCycle(level, Rule(direct=20, omega=((0.6, 1.0), (0.8,))))
    assert [stage.level.unknowns for stage in cycle.stages] == [400, 100, 25, 9]
    assert [stage.visits for stage in cycle.stages] == [2, 2, 2, 1]
    passes = [16 * len(stage.level.low) + 20 * stage.level.unknowns for stage in cycle.stages]
    first = 2 * (4 * passes[1] + 24 * 100) + passes[1]
    second = 4 * (2 * passes[2] + 24 * 25) + 2 * passes[2]
    assert study.counted_bytes(cycle) == pytest.approx(64.0 + 132.0 + (first + second) / 400)


def test_an_exact_coarse_level_is_the_two_level_cycle_with_its_inverse(chosen):
    system = of_kind(chosen, "inclusions 1e4")
    exact = study.ExactCoarse(system.level, Rule())
    coarse = exact.stages[1].level
    dense = SparseCycle(system.level, Rule(direct=coarse.unknowns))
    assert len(dense.stages) == 2
    assert torch.allclose(exact(system.b), dense(system.b), rtol=1e-8, atol=1e-10 * float(dense(system.b).abs().max()))


def test_galerkin_methods_project_and_more_sweeps_help(chosen):
    system = of_kind(chosen, "lognormal, white", 3)
    galerkin = study.ExactCoarse(system.level, Rule(omega_finest=()), galerkin=True, smoothing=2 / 3)
    a = study.matrix(system.level)
    once = galerkin._p @ galerkin._solve.solve(galerkin._p.T @ (a @ system.b.numpy()))
    twice = galerkin._p @ galerkin._solve.solve(galerkin._p.T @ (a @ once))
    assert np.allclose(once, twice, rtol=1e-7, atol=1e-9 * np.abs(once).max())
    counts = {name: study.measure(study.METHODS[name], [system])[0]["iterations"] for name in study.METHODS}
    assert counts["four sweeps"] < counts["exact coarse"]
    assert counts["Galerkin, smoothed"] < counts["Galerkin, injection"]


def test_random_constants_keep_within_what_the_proof_asks_for():
    rng = np.random.default_rng(1)
    t = np.linspace(1e-3, 2.0, 500)
    for _ in range(50):
        rule = study.random_rule(rng)
        for factors in rule.omega:
            assert np.abs(np.prod([1.0 - omega * t for omega in factors], axis=0)).max() < 1.0
        assert max(rule.omega_finest) < 2.0


def test_the_search_finds_no_worse_than_it_began_with_and_the_summary_counts_it():
    with torch.no_grad():
        trials = study.search(4, 3, {2: 12, 3: 6})
        best = study.best_rule(trials)
        assert study.bytes_to_solve(
            study.measure(lambda level: SparseCycle(level, best), study.systems({2: 12, 3: 6}, [3]))
        ) == pytest.approx(min(t["on all"] for t in trials if "on all" in t))
    assert trials[0]["constants"]["theta"] == Rule().theta
    json.dumps(trials)
    entry = {"method": "cycle", "dim": 2, "iterations": 8.0, "bytes": 100.0}
    summary = study.summarised([entry, entry | {"iterations": 2.0}, entry | {"dim": 3, "iterations": 5.0}])
    assert summary["cycle"]["2-D"] == {"iterations": pytest.approx(4.0), "bytes": pytest.approx(400.0)}


def test_the_table_has_every_method_relative_to_the_first_and_the_learned_runs(monkeypatch, tmp_path):
    from benchmarks.report import ceiling_tables

    monkeypatch.setattr(ceiling_tables, "RESULTS", tmp_path)
    assert ceiling_tables.ceilings() == ceiling_tables.UNMEASURED
    entries = [
        {"method": method, "dim": dim, "size": 8 * dim, "iterations": 6.0 + dim} | more
        for method, more in (("cycle", {"bytes": 100.0}), ("searched", {"bytes": 50.0}), ("exact coarse", {}))
        for dim in (2, 3)
    ]
    results = {"summary": study.summarised(entries), "search": {"trials": [{}, {}, {}]}, "entries": entries}
    (tmp_path / "contrast_ceiling.json").write_text(json.dumps(results))
    text = ceiling_tables.ceilings()
    assert "| searched | 8.00 | 9.00 | 0.50 | 0.50 |" in text
    assert "| exact coarse | 8.00 | 9.00 | - | - |" in text
    assert "16^2 and 24^3 cells; searched: the best of 3 random settings" in text
    run = {
        "fields trained on": 12,
        "measured": {"gain": 1.25, "least gain": 0.9, "iterations": {"constants": 5.0, "learned": 4.0}},
    }
    (tmp_path / "contrast_learning.json").write_text(json.dumps({"general": run}))
    assert "| general | 12 | 5.00 | 4.00 | 1.250 | 0.90 |" in ceiling_tables.ceilings()
