"""The report: every figure is in it, failures look like failures, the profile is what its definition says."""

import base64
import copy
import html
import re

import numpy as np
import pytest

from benchmarks.paths import RESULTS
from benchmarks.records.results import by_machine, load, median, merged, save, select, stated_machine
from benchmarks.report import paper_tables, peer_tables, pictures
from benchmarks.report.compare import compare, compare_files, told
from benchmarks.report.markdown import figure
from benchmarks.report.report import contents, write
from tests.support.results import entry, made, slowed

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    results = made()
    page = write(results, folder / "test")
    return results, page.read_text(), (folder / "test.md").read_text(), folder / "test"


def test_every_figure_is_in_the_tables(written):
    results, page, text, _ = written
    for found in results["entries"]:
        if found["converged"]:
            for part in ("setup", "solve", "total") if found["peer"] != "V2 omega 1.3" else ("solve",):
                assert figure(median(found, part)) in text and figure(median(found, part)) in page
            assert figure(found["true_residual"]) in text
    assert "12.3" in text and "abacus" in text and "abc1234" in text and "2026-01-02" in text


def test_every_picture_is_in_the_page_and_beside_it(written):
    _, page, text, folder = written
    drawn = {path.stem for path in folder.glob("*.svg")}
    assert drawn == {path.stem for path in folder.glob("*.png")} >= {"performance-profile", "roofline", "size-plume-2"}
    embedded = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(embedded) == len(drawn) == page.count("<figure")
    assert {base64.b64decode(data) for data in embedded} == {path.read_bytes() for path in folder.glob("*.svg")}
    assert all(f"test/{name}.png" in text for name in drawn)
    assert "<script" not in page and not re.search(r'(src|href)="(?!data:|#)', page)  # nothing is fetched


def test_failures_are_shown_as_failures(written):
    _, page, text, _ = written
    for said in ("failed: its process ended (signal SIGSEGV)", "true residual 1.3e-01"):
        assert f"**{said}**" in text and re.search(rf'<td class="[^"]*failed[^"]*"><strong>{re.escape(said)}', page)
    assert "no direct solution" in text and "**no direct" not in text  # to be unfit is no failure
    assert "`make bench-peers` compiles it" in text
    overview = text.split("## Performance")[0]
    assert re.search(r"\| IC\(0\)-PCG ¹ \| x \|", overview) and re.search(r"\| FFT \| - \|", overview)
    assert "2 failed" in page and "21 comparisons run" in page


def test_the_papers_tables(written):
    _, _, text, _ = written
    told = text.split("## The paper's experiment")[1].split("## Cores")[0]
    assert "| plume 16^3 | 9 (4.62) | 9 (2.39) | 1.0 |" in told  # baselines without figures have no column
    assert "| scene | 2 |\n" in told and "| plume 16^3 | 9 (2.57) |" in told
    assert "| scene | float16 |\n" in told and "| plume 16^3 | 9 (2.82) |" in told


def of_paper(*names, **changed):
    results = made()
    results["entries"] = [entry("plume 16^3", name, [4.2], rtol=1e-4) | changed.get(name, {}) for name in names]
    return {caption.split()[0]: (header, rows) for caption, header, rows in paper_tables.tables(results)}


def test_networks_stand_beside_each_other_where_they_are_there():
    from benchmarks.peers.registry import STRICT

    everybody = ("CG", "deflated PCG", "IC(0)-PCG", STRICT, "DCDM network", "mine", "multilevel network")
    header, rows = of_paper(*everybody, **{"DCDM network": {"iterations": 3}})["Against"]
    assert header == [
        "scene", "CG", "deflated PCG", "IC(0)-PCG", "DCDM, 32^3", "DCDM", "mine", "multilevel network",
        "CG / DCDM, 32^3", "CG / DCDM", "CG / mine",
    ]  # fmt: skip
    assert rows[0][5] == "3 (4.62)" and rows[0][8:] == ["1.0", "3.0", "1.0"]
    absent = entry("plume 16^3", STRICT, [], "not there: benchmarks/networks", rtol=1e-4, settings=False)
    assert "DCDM, 32^3" not in of_paper("CG", STRICT, "DCDM network", **{STRICT: absent})["Against"][0]
    assert of_paper("CG") == {}


def test_every_variant_of_the_paper_has_a_column():
    names = [*paper_tables.WINDOW_NAMES, *paper_tables.PRECISION_NAMES]
    found = of_paper("CG", "DCDM network", *names)
    assert found["Window"][0] == ["scene", "0", "1", "2", "5", "all"] and len(found["Window"][1]) == 1
    assert found["Precision"][0] == ["scene", "float64", "float32", "bfloat16", "float16"]
    assert found["Against"][0] == ["scene", "CG", "DCDM", "CG / DCDM"]


def test_every_section_has_something(written):
    results, page, _, _ = written
    titles = [section.title for section in contents(results)]
    titles.remove("Rough coefficients")  # which have results of their own, in test_bench_contrast.py
    assert all(f">{html.escape(title)}</h2>" in page for title in titles), titles


@pytest.mark.parametrize("plan", ["race", "paper", "learning", "finals", "demo"])
def test_committed_results_have_a_report(plan, tmp_path):
    assert "<table" in write(load(RESULTS / f"{plan}.json"), tmp_path / plan).read_text()


def test_figures_that_were_not_measured_leave_a_gap(tmp_path):
    results = made()
    for found in results["entries"]:
        found |= {"memory_bytes": None, "residuals": None}
        if found["peer"] == "CG":
            found |= {"setup_seconds": [], "solve_seconds": []}
    assert "| CG ¹ |  | - |" in markdown_of(write(results, tmp_path / "gaps"))


def markdown_of(page):
    return page.with_suffix(".md").read_text()


def test_an_empty_run_has_a_report_too(tmp_path):
    results = made() | {"entries": [], "roofline": []}
    assert "0 comparisons run" in write(results, tmp_path / "none").read_text()


def test_the_performance_profile_is_dolans_and_mores():
    groups = {
        "a": {"CG": entry("a", "CG", [1.0]), "multigrid": entry("a", "multigrid", [2.0])},
        "b": {"CG": entry("b", "CG", [6.0]), "multigrid": entry("b", "multigrid", [2.0])},
        "c": {"CG": entry("c", "CG", [], "failed: x"), "multigrid": entry("c", "multigrid", [5.0])},
    }
    found = pictures.profile(groups, "solve")
    np.testing.assert_allclose(found["CG"], [1.0, 3.0, np.inf])
    np.testing.assert_allclose(found["multigrid"], [1.0, 1.0, 2.0])
    del groups["a"]["CG"]  # who was not asked everywhere has no profile
    assert set(pictures.profile(groups, "solve")) == {"multigrid"}


def test_a_problem_on_which_the_network_failed_stays_in_the_profile():
    def problem(**times):
        own = (
            entry("a", "multilevel network", [], "failed: x") if not times else entry("a", "multilevel network", [1.0])
        )
        others = {name: entry("a", name, [1.0]) for name in ("CG", "FFT", "multigrid")}
        return others | {"multilevel network": own}

    assert len(pictures._complete({1: problem(), 2: problem(own=1.0)})) == 2


def test_the_profile_is_over_problems_that_most_were_asked():
    def problem(*names):
        return {name: entry("a", name, [1.0]) for name in names}

    groups = {number: problem("CG", "FFT", "multigrid") for number in range(3)} | {9: problem("CG", "multigrid")}
    assert set(pictures.shared(groups)) == {0, 1, 2}
    groups |= {number: problem("CG", "multigrid") for number in range(10, 14)}
    assert len(pictures.shared(groups)) == 8  # three of eight are too few
    assert pictures.shared({}) == {}


def test_results_are_read_back_and_others_refused(tmp_path):
    results = made()
    assert load(save(tmp_path / "r.json", results)) == results
    (tmp_path / "no.json").write_text('{"cases": {}}')
    with pytest.raises(ValueError, match=r"no\.json: no results of format"):
        load(tmp_path / "no.json")
    (tmp_path / "half.json").write_text('{"cases": ')
    with pytest.raises(ValueError, match="no JSON"):
        load(tmp_path / "half.json")
    assert len(list(select(results, scene="plume", size=16, peer="multigrid"))) == 2


def elsewhere(results):
    """The results as another machine would have them."""
    changed = copy.deepcopy(results)
    changed["sessions"][0]["processor"] = "slide rule"
    return changed


def test_results_are_published_beside_or_in_the_place_of_older_ones():
    old, new = made(), elsewhere(made())
    new["entries"] = [found for found in new["entries"] if found["case"] == "plume 16^3"]
    both = merged(old, new)
    keys = [(e["case"], e["rtol"], e["cores"], e["peer"], e["mode"]) for e in both["entries"]]
    assert len(keys) == len(set(keys)) == len(old["entries"]) and both["cases"] == old["cases"]
    for found in both["entries"]:
        processor = both["sessions"][found["session"]]["processor"]
        replaced = (
            found["case"] == "plume 16^3" and found["settings"] is not None
        )  # who was not here takes nobody's place
        assert processor == ("slide rule" if replaced else "abacus")
    everything = elsewhere(made())
    everything["entries"] = [found for found in everything["entries"] if found["settings"] is not None]
    both["entries"] = [found for found in both["entries"] if found["settings"] is not None]
    assert [session["processor"] for session in merged(both, everything)["sessions"]] == ["slide rule"]


def test_what_was_measured_elsewhere_is_named():
    old, new = made(), elsewhere(made())
    assert stated_machine(old) == "Measured on 2 cores of an abacus (Python 3.11, numpy 2.0)."
    new["entries"] = [found for found in new["entries"] if found["peer"] == "IC(0)-PCG"]
    said = stated_machine(merged(old, new))
    assert "of an abacus (Python 3.11, numpy 2.0); IC(0)-PCG on plume 16^3 on 2 cores of an slide rule" in said
    assert "; and on " in stated_machine({"sessions": old["sessions"] + new["sessions"]})


def test_machines_stand_in_tables_of_their_own():
    old, new = made(), elsewhere(made())
    new["entries"] = [found for found in new["entries"] if found["case"] == "plume 16^3"]
    parts = list(by_machine(merged(old, new)))
    assert [{part["sessions"][e["session"]]["processor"] for e in part["entries"]} for part in parts] == [
        {"slide rule"},
        {"abacus"},
    ]
    assert "slide rule" not in stated_machine(parts[1]) and sum(len(part["entries"]) for part in parts) == len(
        old["entries"]
    )


def test_who_was_not_run_is_named_once():
    absent = [("A", "x"), ("B", "x"), ("C", "x"), ("A", "y"), ("B", "y")]
    assert (
        peer_tables._gathered(absent, 2) == "A, B; C on x"
        and peer_tables._gathered(absent, 3) == "A, B on x; y; C on x"
    )


def test_who_was_not_here_or_not_done_takes_nobodys_place():
    old, new = made(), elsewhere(made())
    for found in new["entries"]:
        if found["peer"] == "PETSc GAMG-PCG":
            found |= {"converged": False, "outcome": "not installed", "settings": None}
        if found["peer"] == "CG":
            found |= {"setup_seconds": [], "solve_seconds": []}
    both = merged(old, new)
    for peer, processor in (("PETSc GAMG-PCG", "abacus"), ("CG", "abacus"), ("multigrid", "slide rule")):
        assert {both["sessions"][e["session"]]["processor"] for e in both["entries"] if e["peer"] == peer} == {
            processor
        }


def test_times_are_no_regression_between_machines(tmp_path):
    old, new = made(), slowed(elsewhere(made()), "multigrid", 2.0)
    assert compare_files(save(tmp_path / "old.json", old), save(tmp_path / "new.json", new)) == 0
    new["entries"][2]["iterations"] = 99
    assert compare_files(tmp_path / "old.json", save(tmp_path / "new.json", new)) == 1


def test_a_planted_regression_is_flagged_and_nothing_else():
    old = made()
    found = compare(old, slowed(old, "multigrid", 1.5))
    assert found and all((c.kind, c.what, c.entry["peer"]) == ("regression", "solve", "multigrid") for c in found)
    assert {c.entry["case"] for c in found} == {
        "plume 16^3",
        "plume 32^3",
        "cavity 16^3",
    }  # one repeat of a sequence needs more
    better = compare(old, slowed(old, "CG", 0.5))
    assert better and all(c.kind == "improvement" for c in better)
    assert "regressions" in told(old, old, found) and "multigrid" in told(old, old, found)


def test_noise_is_not_flagged():
    old = made()
    new = old
    for peer in ("CG", "multigrid", "multilevel network", "PETSc GAMG-PCG"):
        new = slowed(slowed(new, peer, 1.04, noise=0.12), peer, 1.0, noise=0.3, part="setup_seconds")
    assert compare(old, new) == [] and compare(old, old) == []


def test_a_slow_repeat_among_quick_ones_is_noise():
    old, new = made(), made()
    for found in new["entries"]:
        if found["solve_seconds"]:
            found["solve_seconds"] = [found["solve_seconds"][0], *(9 * t for t in found["solve_seconds"][1:])]
    assert [c for c in compare(old, new) if c.entry["peer"] == "CG" and c.what == "solve"] == []


def test_new_failures_more_iterations_and_more_memory_are_regressions():
    old, new = made(), made()
    first, second, third = new["entries"][:3]
    first |= {"converged": False, "outcome": "failed: no answer within 60 s"}
    second["iterations"] = 14
    third["memory_bytes"] *= 2
    found = {(c.entry["peer"], c.what): c.kind for c in compare(old, new)}
    assert found == {
        ("CG", "outcome"): "regression", ("PETSc GAMG-PCG", "iterations"): "regression", ("multigrid", "memory"): "regression",
    }  # fmt: skip
    assert {c.kind for c in compare(new, old)} == {"improvement"}


def test_a_peer_of_other_settings_is_another_peer():
    old, new = made(), slowed(made(), "multigrid", 2.0)
    for found in new["entries"]:
        if found["peer"] == "multigrid":
            found["settings"] = {"model": "another"}
    assert compare(old, new) == [] and "not compared: multigrid." in told(old, new, [])


def test_what_is_not_installed_on_one_side_is_no_regression():
    old, new = made(), made()
    for found in new["entries"]:
        if found["peer"] == "PETSc GAMG-PCG":
            found |= {"converged": False, "outcome": "not installed", "settings": None}
    assert compare(old, new) == [] and compare(new, old) == []


def test_the_exit_status_says_whether_something_got_worse(tmp_path, capsys):
    old = made()
    paths = [save(tmp_path / "old.json", old), save(tmp_path / "new.json", slowed(old, "multigrid", 2.0))]
    assert compare_files(*paths) == 1 and compare_files(paths[0], paths[0]) == 0
    assert "0 regressions" in capsys.readouterr().out
