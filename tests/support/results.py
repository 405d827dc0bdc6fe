"""Results of benchmarks as tests need them: with everything that a report can show, and slower ones."""

import copy

import numpy as np

from benchmarks.records.results import FORMAT


def entry(
    case, peer, times, outcome="converged", *, rtol=1e-6, cores=2, mode="fresh", steps=None, iterations=9, settings=None
):
    """An entry whose set-ups take a tenth of its solves."""
    good = outcome == "converged"
    return {
        "case": case, "rtol": rtol, "cores": cores, "peer": peer, "mode": mode, "outcome": outcome, "converged": good,
        "unfit": outcome.startswith("no direct"), "serial": peer == "CG", "source": "nothing to set",
        "settings": {} if settings is None else settings or None, "version": "scipy 1", "note": "", "iterations": iterations if good else None,
        "steps": steps, "setups": 20 if steps else None, "setup_seconds": [0.1 * t for t in times], "solve_seconds": times,
        "setup_cpu_seconds": times, "solve_cpu_seconds": times, "residuals": [1.0, 1e-3, 7e-7] if good else None,
        "true_residual": 7.1e-7 if good else 0.13, "memory_bytes": 12_300_000, "session": 0,
    }  # fmt: skip


def made():
    """Results with everything that a report can show."""
    cases = {
        name: {"name": name, "scene": scene, "size": size, "shape": [size] * 3, "dim": 3, "rhs": "physical", "steps": steps,
               "unknowns": size**3, "singular": scene == "cavity"}
        for name, scene, size, steps in (("plume 16^3", "plume", 16, 1), ("plume 32^3", "plume", 32, 1),
                                         ("cavity 16^3", "cavity", 16, 1), ("moving sphere 16^3, 20 systems", "sphere", 16, 20))
    }  # fmt: skip
    entries = [
        entry(case, peer, [scale * factor * s for s in (1.0, 1.1, 0.97)])
        for case, scale in (("plume 16^3", 0.0123), ("plume 32^3", 0.0919), ("cavity 16^3", 0.0311))
        for peer, factor in (("CG", 4.0), ("PETSc GAMG-PCG", 2.0), ("multigrid", 0.7), ("multilevel network", 1.0))
    ]
    entries += [
        entry("plume 16^3", "IC(0)-PCG", [], "failed: its process ended (signal SIGSEGV)"),
        entry("plume 16^3", "PyAMG RS-PCG", [], "true residual 1.3e-01"),
        entry("plume 16^3", "FFT", [], "no direct solution: the coefficients vary"),
        entry(
            "plume 16^3", "AMGCL SA-PCG", [], "not installed: pyamgcl; `make bench-peers` compiles it", settings=False
        ),
        entry("plume 16^3", "multigrid", [0.02, 0.021, 0.022], cores=1),
        entry("plume 16^3", "V2 omega 1.3", [0.019, 0.0192, 0.0189]),
    ]
    paper = [("CG", 4.2), ("DCDM network", 2.17), ("DCDM network, m = 2", 2.34), ("DCDM network, float16", 2.56)]
    entries += [entry("plume 16^3", peer, [time], rtol=1e-4) for peer, time in paper]
    steps = {name: [0.01 * (1 + k % 3) for k in range(20)] for name in ("setup_seconds", "solve_seconds")}
    entries.append(entry("moving sphere 16^3, 20 systems", "multigrid", [0.456], mode="kept, warm start", steps=steps))
    machine = {"started": "2026-01-02T03:04:05+00:00", "processor": "abacus", "cores": 2, "python": "3.11", "commit": "abc1234",
               "versions": {"numpy": "2.0"}}  # fmt: skip
    roofline = [
        {"scene": "plume", "size": size, "bytes_per_cell": 31.7, "setup_seconds": 0.0042, "cycle_seconds": 0.0033,
         "bandwidth": 4.9e9, "triad": 44.8e9, "sweep_bandwidth": 30e9, "roofline": 44.8e9}
        for size in (64, 128)
    ]  # fmt: skip
    return {
        "format": FORMAT,
        "plan": "test",
        "sessions": [machine],
        "cases": cases,
        "roofline": roofline,
        "entries": entries,
    }


def slowed(results, peer, factor, noise=0.0, part="solve_seconds"):
    """The results with one peer's times changed, every repeat by its own noise."""
    changed, rng = copy.deepcopy(results), np.random.default_rng(11)
    for entry in changed["entries"]:
        if entry["peer"] == peer:
            entry[part] = [t * factor * (1 + noise * rng.uniform(-1, 1)) for t in entry[part]]
    return changed
