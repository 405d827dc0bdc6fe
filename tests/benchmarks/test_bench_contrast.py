"""Rough coefficients in the benchmarks: the fields, their cases, and the tables and the picture of plan `contrast`."""

import copy

import numpy as np
import pytest

from benchmarks import plans
from benchmarks.records.journal import Journal
from benchmarks.records.results import gather
from benchmarks.report import contrast_tables, pictures, report, tables
from benchmarks.runner.runner import Runner
from benchmarks.systems import fields
from benchmarks.systems.cases import Case, field, power
from deepcg.scenes import gallery
from tests.support.results import entry, made

CONTRAST = 1e6


def beta(name, size, dim, contrast=CONTRAST):
    given = contrast if fields.FIELDS[name].takes_contrast else None
    return fields.problem(name, size, dim, given).source["coefficient"]


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", fields.FIELDS)
def test_a_field_is_the_same_every_time(name, dim):
    one = beta(name, 16, dim)
    assert one.shape == (16,) * dim and (one > 0).all() and np.isfinite(one).all()
    np.testing.assert_array_equal(one, beta(name, 16, dim))
    if fields.FIELDS[name].takes_contrast:
        assert one.max() / one.min() == pytest.approx(CONTRAST)
        assert not np.array_equal(one, beta(name, 16, dim, 1e3))


def test_fields_are_what_their_names_say():
    for name, sigma in (("smooth log-normal, sigma 4", 4.0), ("white log-normal, sigma 3", 3.0)):
        assert np.log(beta(name, 128, 2)).std() == pytest.approx(sigma, rel=0.05)
    neighbours = [
        np.corrcoef(logs[1:].ravel(), logs[:-1].ravel())[0, 1]
        for logs in (np.log(beta(name, 64, 2)) for name in ("smooth log-normal, sigma 4", "white log-normal, sigma 3"))
    ]
    assert neighbours[0] > 0.8 and abs(neighbours[1]) < 0.1
    assert not np.ptp(beta("white layers, sigma 3", 20, 3), axis=(1, 2)).any()
    assert np.mean(beta("white inclusions", 32, 3) > 1.0) == pytest.approx(0.2, abs=0.02)
    assert beta("insulating blobs", 32, 2).max() == 1.0 and beta("blobs", 32, 2).min() == 1.0
    along = beta("diagonal channels", 33, 3)
    np.testing.assert_array_equal(along[:, 1:, :-1], along[:, :-1, 1:])


def test_a_field_and_its_contrast_must_fit():
    with pytest.raises(ValueError, match="contrast: None given; 'blobs' takes one, such as 1e6"):
        fields.problem("blobs", 8, 2)
    with pytest.raises(ValueError, match=r"contrast: 10.0 given; 'uniform' takes none"):
        fields.problem("uniform", 8, 2, 10.0)


def test_cases_are_told_apart_by_their_contrast():
    assert [power(c) for c in (1e2, 1e6, 1e8, 1e12)] == ["1e2", "1e6", "1e8", "1e12"]
    rough, flat = Case("fractures", 12, contrast=1e4), Case("plume", 12)
    assert rough.name == "fractures 1e4 12^3" and flat.name == "plume 12^3"
    assert field("blobs", 9, 2, 1e8).name == "blobs 1e8 9^2 noise"
    (system,) = rough.systems()
    expected = gallery.scene("fractures", 12, contrast=1e4)
    np.testing.assert_array_equal(system.problem.source["coefficient"], expected.problem.source["coefficient"])
    np.testing.assert_array_equal(system.b, expected.rhs)
    facts = rough.facts(system.problem)
    assert (facts["scene"], facts["family"], facts["contrast"]) == ("fractures 1e4", "fractures", 1e4)
    assert "contrast" not in flat.facts(next(flat.systems()).problem)
    (noisy,) = field("white inclusions", 9, 2, 1e2).systems()
    assert noisy.b.std() == pytest.approx(1.0, abs=0.3) and (noisy.b != 0).all()


def test_peers_are_compared_on_rough_coefficients(tmp_path):
    cases = (Case("cutcells", 9, 2, contrast=1e4), field("white inclusions", 9, 2, 1e2))
    few = plans.peers("multigrid", "Jacobi-PCG")
    plan = plans.Plan("contrast", tuple(plans.Entry(case, few, cores=1) for case in cases), ((60.0, 1),), 60.0)
    with Journal(tmp_path / "c.jsonl", fresh=True) as journal:
        assert Runner(plan, journal).run()
        results = gather(journal, "contrast")
    assert len(results["entries"]) == 4 and all(e["converged"] for e in results["entries"])
    rows = contrast_tables.iterations(results)[0][2]
    assert [row[0] for row in rows] == ["cutcells 1e4", "white inclusions 1e2"]


# ---- the report ----------------------------------------------------------------------------------------------------


@pytest.fixture
def rough():
    """Results of two kinds of coefficient, one at three contrasts; GAMG fails once, and so does everybody on `layers`."""
    results, entries, cases = made(), [], {}
    everybody = ("PETSc GAMG-PCG", "PyAMG RS-PCG", "multigrid", "multilevel network")
    for family, contrast in (*(("fractures", c) for c in (1e2, 1e4, 1e6)), ("blobs", 1e8), ("layers", 1e6)):
        name = f"{family} {power(contrast)} 16^3"
        cases[name] = {"name": name, "scene": name[:-5], "size": 16, "shape": [16] * 3, "dim": 3, "rhs": "physical", "steps": 1,
                       "unknowns": 4096, "singular": False, "family": family, "contrast": contrast}  # fmt: skip
        for place, peer in enumerate(everybody):
            fails = family == "layers" or (peer == "PETSc GAMG-PCG" and contrast == 1e6)
            told = "true residual 1.3e-01" if fails else "converged"
            times = [] if fails else [0.8, 0.4, 0.1, 0.2][place : place + 1]
            entries.append(entry(name, peer, times, told, iterations=[30, 9, 7, 6][place]))
        entries.append(entry(name, "AMGCL SA-PCG", [], "not installed: pyamgcl", settings=False))
    return results | {"plan": "contrast", "cases": cases, "entries": entries, "roofline": []}


def test_the_table_has_the_best_multigrid_and_the_factors(rough):
    rows = {row[0]: row[1:] for row in contrast_tables.against_the_best(rough, 16, 3)}
    assert rows["fractures 1e4"] == [
        "0.04 + 0.4 (9) PyAMG RS", "0.4 PyAMG RS", "9 PyAMG RS", "0.01 + 0.1 (7)", "0.02 + 0.2 (6)", "4", "4",
    ]  # fmt: skip
    assert rows["layers 1e6"] == ["x", "x", "x", "x", "x", "", ""]
    assert rows["**geometric mean**"][-2:] == ["**4**", "**4**"]
    assert all(len(row) == len(contrast_tables.HEADER) - 1 for row in rows.values())
    assert contrast_tables.against_the_best(rough, 32, 3) == []


def test_failures_are_crosses_and_who_is_not_here_has_no_column(rough):
    ((caption, header, rows),) = contrast_tables.iterations(rough)
    assert caption == "16^3" and "AMGCL SA-PCG" not in header
    found = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}
    assert found["fractures 1e6"]["PETSc GAMG-PCG"] == "x" and found["fractures 1e6"]["multilevel network"] == "6"


def test_the_picture_has_a_column_for_what_was_measured_at_several_contrasts(rough):
    pytest.importorskip("matplotlib")
    figure = pictures.against_contrast(rough, 16, 3)
    assert [axes.get_title() for axes in figure.axes] == ["fractures", ""]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["multigrid"].get_xdata(), [1e2, 1e4, 1e6])
    np.testing.assert_array_equal(lines["multigrid"].get_ydata(), [7, 7, 7])
    crosses = [
        list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert crosses == [[1e6]]
    np.testing.assert_allclose({line.get_label(): line for line in figure.axes[1].lines}["multigrid"].get_ydata(), 0.11)
    without = copy.deepcopy(rough)
    without["entries"] = [e for e in without["entries"] if "1e4" not in e["case"]]
    assert pictures.against_contrast(without, 16, 3) is None and not contrast_tables.drawable(without)


def test_blocks_say_what_is_to_be_done_until_it_is_measured(rough, monkeypatch):
    monkeypatch.setattr(contrast_tables, "latest", lambda plan: None)
    assert tables.BLOCKS["contrast"]() == tables.BLOCKS["contrast iterations"]() == contrast_tables.UNMEASURED
    monkeypatch.setattr(contrast_tables, "latest", lambda plan: rough)
    monkeypatch.setattr(contrast_tables, "SHOWN", (16, 3))
    assert "| blobs 1e8 | 0.04 + 0.4 (9) PyAMG RS |" in tables.BLOCKS["contrast"]()
    assert "16^3 cells, 2 cores" in tables.BLOCKS["contrast"]()
    assert contrast_tables.PICTURE in tables.BLOCKS["contrast iterations"]()
    rough["cases"] = {name: facts for name, facts in rough["cases"].items() if "fractures" not in name}
    rough["entries"] = [e for e in rough["entries"] if e["case"] in rough["cases"]]
    assert contrast_tables.PICTURE not in tables.BLOCKS["contrast iterations"]()


def test_a_report_has_the_section(rough, tmp_path):
    pytest.importorskip("matplotlib")
    page = report.write(rough, tmp_path / "contrast")
    text = page.with_suffix(".md").read_text()
    assert "## Rough coefficients" in text and "contrast/contrast-16-3.png" in text
    assert (tmp_path / "contrast" / "contrast-16-3.png").stat().st_size > 10_000
    plain = report.write(made(), tmp_path / "plain").with_suffix(".md").read_text()
    assert "Rough coefficients" not in plain
