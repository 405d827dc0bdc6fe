"""What the campaign publishes: counts, groups by message, the table of docs/reliability.md."""

from benchmarks.report import reliability_tables
from benchmarks.studies import campaign


def verdict(number, kind, way="matrix", told="converged", ratio=0.5, iterations=3):
    return {
        "number": number, "kind": kind, "way": way, "told": told, "ratio": ratio, "iterations": iterations, "tags": {"n": 10 * number + 1},
    }  # fmt: skip


FOUND = [
    verdict(0, "right"),
    verdict(1, "right", "Poisson", ratio=0.99, iterations=7),
    verdict(2, "silent", ratio=50.0),
    verdict(3, "refused", told="ValueError: A: row 3 has 2.5 where 1e-3 is needed"),
    verdict(4, "refused", told="ValueError: A: row 12 has -7 where 2 is needed"),
    verdict(5, "false defeat", told="attainable accuracy", ratio=3.0),
    verdict(6, "hang", "Poisson", "no answer after 300 s", None),
]


def test_the_summary_counts_everything_once():
    summary = campaign.summarised(FOUND, seed=5, first=0, seconds=1.4)
    assert sum(sum(kinds.values()) for kinds in summary["verdicts"].values()) == len(FOUND) == summary["systems"]
    assert [failure["number"] for failure in summary["failures"]] == [2, 6]
    assert summary["worst"]["number"] == 1 and summary["seed"] == 5
    assert summary["iterations"]["Poisson"]["100%"] == 7


def test_messages_that_differ_in_numbers_only_are_one_group():
    summary = campaign.summarised(FOUND, seed=5, first=0, seconds=1.4)
    assert [group["count"] for group in summary["refusals"].values()] == [2]
    assert summary["defeats"]["false defeat"]["matrix: attainable accuracy"]["such as"] == [5]


def test_the_table_has_the_failures_and_the_worst_ratio():
    text = reliability_tables.described(campaign.summarised(FOUND, seed=5, first=0, seconds=1.4))
    assert "| matrix | 5 | 1 | 1 | 1 | 2 | 1 | 3, 3 |" in text
    assert "| **all** | **7** | **2** | **1** | **1** | **2** | **2** |" in text
    assert "0.9900 of its tolerance" in text and "Seed 5" in text
