"""The study of learned set-up functions: bounds that hold for any parameters, constants as its start, a step that learns, what it records."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.studies import contrast_ceiling as ceiling  # noqa: E402
from benchmarks.studies import contrast_learning as study  # noqa: E402
from deepcg.multigrid.reference.sparse_cycle import Rule, SparseCycle  # noqa: E402
from deepcg.training.rough_fields import KINDS  # noqa: E402


@pytest.fixture(autouse=True)
def in_double_precision():
    """The studies' programs set the precision and the threads of their process, which the tests after them share."""
    before, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
    torch.set_num_threads(threads)


def network(spread=0.0, seed=1, **kwargs):
    """As it begins, or with parameters all over."""
    net = study.Learned(8, **kwargs)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return net


def system(kind="inclusions", shape=(15, 14), seed=4):
    return ceiling.system_of(kind, KINDS[kind](np.random.default_rng(seed), shape), seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(15, 14), (6, 7, 6)])
def test_any_parameters_keep_the_spectrum_within_0_and_2(seed, shape):
    net = network(1.0, seed)
    net.direct = 8
    level = system(seed=seed, shape=shape).level
    with torch.no_grad():
        cycle = SparseCycle(level, net)
        m = cycle(torch.eye(level.unknowns))
        root = torch.linalg.cholesky(level.dense())
        values = torch.linalg.eigvalsh(root.T @ (0.5 * (m + m.T)) @ root)
    assert len(cycle.stages) > 2
    assert values.min() > 0.0
    assert values.max() < 2.0


def test_it_begins_as_the_constants():
    some = system("lognormal_white")
    with torch.no_grad():
        learned, constant = (SparseCycle(some.level, rule) for rule in (network(), ceiling.TWO_SWEEPS))
        ratio = learned.stages[1].level.weight / constant.stages[1].level.weight
        assert float((ratio - 1.0).abs().max()) < 0.15
        counts = [ceiling.iterations(some.level.apply, some.b, cycle) for cycle in (learned, constant)]
    assert counts[0] == pytest.approx(counts[1], rel=0.1)
    assert [omega.item() for omega in network().omega[0]] == pytest.approx(Rule().omega[0], rel=0.01)
    assert [omega.item() for omega in network().omega_finest] == pytest.approx(Rule().omega_finest, rel=0.01)


def test_every_parameter_gets_a_gradient():
    net, rng = network(0.1), np.random.default_rng(2)
    study.loss(*study.random_cycle(rng, net, list(KINDS)), rng).backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0.0 for p in net.parameters())
    frozen = network(0.1, conductive=False, relaxing=False)
    study.loss(*study.random_cycle(rng, frozen, list(KINDS)), rng).backward()
    assert frozen.edge_out.weight.grad is None
    assert frozen.raw_omega.grad is not None


def test_the_loss_tells_a_good_cycle_from_a_poor_one():
    some = system()
    with torch.no_grad():
        good, poor = (SparseCycle(some.level, Rule(direct=8, omega_finest=o)) for o in ((1.15, 1.15), (0.2,)))
        assert (
            float(study.loss(some, good, np.random.default_rng(3)))
            < float(study.loss(some, poor, np.random.default_rng(3)))
            < 0.0
        )


def test_steps_of_training_lower_the_loss_on_what_was_trained_on(monkeypatch):
    net, some = network(), system()
    net.direct = 16
    monkeypatch.setattr(study, "random_cycle", lambda rng, rule, kinds: (some, SparseCycle(some.level, rule)))

    def value():
        with torch.no_grad():
            return float(study.loss(some, SparseCycle(some.level, net), np.random.default_rng(8)))

    ticks = iter(np.arange(0.0, 30.0))
    monkeypatch.setattr(study.time, "monotonic", lambda: next(ticks))
    before = value()
    assert study.train(net, 25.0, ["inclusions"], batch=1) == 24
    assert value() < before


def test_a_run_records_what_it_measured_beside_earlier_ones(monkeypatch, tmp_path):
    output = tmp_path / "learning.json"
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.setattr(study, "train", lambda net, *args, **kwargs: 0)
    monkeypatch.setattr(study, "validation", lambda rule, kinds: -2.0)
    common = ["study", "--sizes", "14", "6", "--hidden", "4", "--output", str(output)]
    for more in (["--name", "one"], ["--name", "two", "--kinds", "layers"]):
        monkeypatch.setattr("sys.argv", common + more)
        study.main()
    found = json.loads(output.read_text())
    assert list(found) == ["one", "two"]
    assert [len(run["measured"]["fields"]) for run in found.values()] == [28, 16]
    for run in found.values():
        fields = run["measured"]["fields"]
        gains = [field["constants"] / field["learned"] for field in fields]
        assert run["measured"]["gain"] == pytest.approx(np.exp(np.mean(np.log(gains))))
    assert (tmp_path / "out" / "contrast_learning" / "two.pt").exists()
