"""What is run against what: cases x peers x tolerances x cores, frozen under a name.

`quick` is the suite of `deepcg bench`, made to end within ten minutes on two cores; `full` that of `deepcg bench --full`; the others answer
one question each and are parts of `full` too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.registry import (
    AMG,
    GPU,
    ON_CPU,
    OWN,
    PEERS,
    STRICT,
    Peer,
    classical,
    in_precision,
    own,
    with_window,
)
from benchmarks.records import learned
from benchmarks.records.results import latest
from benchmarks.systems.cases import SCENES_2D, SCENES_3D, Case, digest, field, sequence
from deepcg.scenes import gallery

FRESH, WARM, KEPT = "fresh", "fresh, warm start", "kept, warm start"
"""How a sequence is gone through: a set-up per system from a zero guess; the same from the last solution; and the set-up kept too,
until it is worn out (`benchmarks.runner.runner.Wear`)."""

LONG = 600.0  # seconds; a run that takes longer is made once, and its first counts


@dataclass(frozen=True)
class Entry:
    """Peers that are compared on one case, at each tolerance, in turn."""

    case: Case
    peers: tuple[Peer, ...]
    rtols: tuple[float, ...] = (1e-6,)
    cores: int = 2
    modes: tuple[str, ...] = (FRESH,)

    def modes_of(self, peer: Peer) -> tuple[str, ...]:
        """Those that the peer can be run in."""
        return tuple(mode for mode in self.modes if peer.keeps or mode != KEPT)


@dataclass(frozen=True)
class Plan:
    """Entries and how often and how long.

    Attributes
    ----------
    name : str
    entries : tuple of Entry
    repeats : tuple of (seconds, int)
        A run that takes less than so many seconds is repeated so often, after one that does not count; slower ones once, those that
        take `LONG` never. A sequence is gone through so often, once at least.
    limit : float
        Seconds after which a run is given up.
    """

    name: str
    entries: tuple[Entry, ...]
    repeats: tuple[tuple[float, int], ...]
    limit: float

    def repeats_of(self, seconds: float) -> int:
        """How often a run is repeated whose first took so many seconds; where never, the first counts."""
        if seconds >= LONG:
            return 0
        return next((count for below, count in self.repeats if seconds < below), 1)


def peers(*names: str, without: tuple[str, ...] = ()) -> tuple[Peer, ...]:
    """Peers by name; those in `without` left out."""
    return tuple(PEERS[name] for name in names if name not in without)


SLOW = ("DCDM network",)  # a minute or more on a CPU where the others take seconds
STATIONARY = ("CG", "Jacobi-PCG", "FFT")  # nothing to keep between systems
SERIAL = 64  # cells a side up to which serial libraries are taken through sequences, which take them long
QUICK_REPEATS, RACE_REPEATS, FULL_REPEATS = ((0.5, 3), (1.0, 2)), ((2.0, 7), (120.0, 3)), ((20.0, 5), (120.0, 3))
PAPER_REPEATS = ((5.0, 3), (20.0, 2))
CONTRAST_REPEATS = ((2.0, 3),)


def quick() -> Plan:
    """Every kind of problem at 64^3, both dimensions, three tolerances, one core, a time sequence."""
    most = peers("PETSc ICC-PCG", *AMG, "hypre PFMG-PCG", *OWN, without=SLOW)
    few = tuple(peer for peer in most if peer.name not in ("PETSc ICC-PCG", "PyAMG RS-PCG", "multigrid, tuned"))
    entries = [Entry(Case("plume", 64), peers(*ON_CPU))]
    entries += [Entry(Case(scene, 64), peers("deflated PCG") + most) for scene in ("dam_break", "porous", "bubble")]
    entries += [Entry(Case("bunny", 64), peers(*ON_CPU, without=SLOW))]
    entries += [Entry(Case("stretched", 64), most), Entry(Case("cavity", 64), peers("FFT") + most)]
    entries += [Entry(Case("fractures", 64, contrast=1e6), most)]
    entries += [Entry(Case("plume", 64, rhs="noise"), few, (1e-4, 1e-10))]
    entries += [Entry(Case("bubble", 256, 2), most), Entry(Case("plume", 96), few)]
    entries += [Entry(Case("plume", 64), peers("PETSc ICC-PCG") + few, cores=1)]
    timely = tuple(peer for peer in few if peer.name != "hypre PFMG-PCG")
    entries += [Entry(sequence(32), timely, modes=(FRESH, KEPT))]
    return Plan("quick", tuple(entries), QUICK_REPEATS, limit=120.0)


def full(sizes: tuple[int, ...] = (64, 128, 256), cores: tuple[int, ...] = (2, 1)) -> Plan:
    """Everything: scenes, sizes, right-hand sides and tolerances; threads; sequences; the paper's experiment; what learning buys."""
    entries = []
    for size, scene, rhs in itertools.product(sizes, SCENES_3D, ("physical", "noise")):
        entries.append(
            Entry(Case(scene, size, rhs=rhs), peers(*ON_CPU, *GPU, without=SLOW), (1e-4, 1e-6, 1e-10), cores[0])
        )
    for size, scene in itertools.product((256, 1024, 2048), SCENES_2D):
        entries.append(Entry(Case(scene, size, 2), peers(*ON_CPU, *GPU, without=SLOW), (1e-4, 1e-6, 1e-10), cores[0]))
    for few, size in itertools.product(cores[1:], sizes[:2]):
        entries += [
            Entry(Case(s, size), peers(*ON_CPU, without=SLOW), cores=few) for s in ("plume", "porous", "bubble")
        ]
    entries += moving(sizes[:2], (1e-4, 1e-6), cores[0]).entries
    entries += scaling(cores[0]).entries
    for part in (paper, learning, iterations, wide):
        entries += part().entries
    return Plan("full", tuple(entries), FULL_REPEATS, limit=3600.0)


def moving(sizes: tuple[int, ...] = (64, 128), rtols: tuple[float, ...] = (1e-6,), cores: int = 2) -> Plan:
    """A boundary that moves, system after system, with set-ups and solutions kept by whoever gains from it."""
    timely = peers(*ON_CPU, without=(*SLOW, *STATIONARY))
    entries = [
        Entry(
            sequence(size),
            tuple(peer for peer in timely if size <= SERIAL or not peer.serial),
            rtols,
            cores,
            (FRESH, WARM, KEPT),
        )
        for size in sizes
    ]
    return Plan("moving", tuple(entries), ((20.0, 3),), limit=3600.0)


def scaling(cores: int = 2) -> Plan:
    """Time and memory against size, the largest as memory allows."""
    fast = peers(*AMG, "hypre PFMG-PCG", "FFT", *OWN, *GPU, without=SLOW)
    entries = [Entry(Case("plume", size), fast, cores=cores) for size in (64, 96, 128, 192, 256)]
    entries += [Entry(Case("box", size), fast, cores=cores) for size in (64, 128, 256)]
    entries += [
        Entry(Case("plume", size), peers("multigrid", "multilevel network"), cores=cores) for size in (320, 384, 512)
    ]
    return Plan("scaling", tuple(entries), FULL_REPEATS, limit=3600.0)


def race(sizes: tuple[int, ...] = (128, 256)) -> Plan:
    """Against algebraic multigrid and hypre's structured one on large grids, and on one core."""
    rivals = peers(*AMG, "hypre PFMG-PCG", "multigrid", "multilevel network")
    names = ("plume", "dam_break", "porous", "bubble", "stretched")
    entries = [Entry(Case(scene, size), rivals) for size in sizes for scene in names]
    # where the serial libraries, SciPy and PyAMG, meet everybody on equal terms
    entries += [Entry(Case(scene, sizes[0]), rivals, cores=1) for scene in ("plume", "porous", "bubble")]
    return Plan("race", tuple(entries), RACE_REPEATS, limit=3600.0)


CONTRASTS = (1e2, 1e4, 1e6, 1e8)
FIELD_CONTRASTS: dict[str, tuple[float | None, ...]] = {
    "uniform": (None,),
    "smooth log-normal, sigma 4": (None,),
    "white log-normal, sigma 3": (None,),
    "white layers, sigma 3": (None,),
    "white inclusions": CONTRASTS,
    "blobs": (1e4, 1e8),
    "insulating blobs": (1e6,),
    "diagonal channels": (1e3, 1e6),
    "crossing channels": (1e5,),
}
SWEPT = ((64, 3), (256, 2))  # sizes at which the rough scenes are measured at every contrast
ROUGH_AMG = ("PETSc GAMG-PCG", "hypre BoomerAMG-PCG", "AMGCL SA-PCG")
ROUGH_OTHERS = ("PyAMG RS-PCG", "PyAMG SA-PCG", "hypre PFMG-PCG")


def contrast_core(size: int = 128) -> Plan:
    """The part of `contrast` that says most in least time: seven systems of 128^3 cells against parallel algebraic multigrid."""
    cases = [field("white log-normal, sigma 3", size)]
    cases += [field("white inclusions", size, contrast=c) for c in (1e4, 1e8)]
    cases += [field("blobs", size, contrast=1e8), field("diagonal channels", size, contrast=1e6)]
    cases += [Case(scene, size, contrast=1e6) for scene in ("layers", "fractures")]
    rivals = peers("multigrid", "multilevel network", *ROUGH_AMG)
    return Plan("contrast", tuple(Entry(case, rivals) for case in cases), CONTRAST_REPEATS, limit=120.0)


def contrast(sizes: tuple[tuple[int, int], ...] = ((128, 3), (64, 3), (256, 2), (64, 2))) -> Plan:
    """Rough coefficients: every field and rough scene against algebraic multigrid and PFMG, and what the contrast does to each.

    It begins with `contrast_core` and goes on in its journal.
    """
    core = contrast_core().entries if (128, 3) in sizes else ()
    asked = {entry.case.name: {peer.name for peer in entry.peers} for entry in core}
    everybody, entries = peers("multigrid", "multilevel network", *ROUGH_AMG, *ROUGH_OTHERS), list(core)
    for size, dim in sizes:
        cases = [field(name, size, dim, c) for name, found in FIELD_CONTRASTS.items() for c in found]
        swept = CONTRASTS if (size, dim) in SWEPT else (1e6,)
        cases += [Case(s, size, dim, contrast=c) for s in gallery.names(dim, rough=True) for c in swept]
        for case in cases:
            others = tuple(peer for peer in everybody if peer.name not in asked.get(case.name, ()))
            entries.append(Entry(case, others))
    return Plan("contrast", tuple(entries), CONTRAST_REPEATS, limit=300.0)


PAPER_SCENES = ("box", "plume", "sphere", "bunny")
PAPER_BASELINES = ("CG", "deflated PCG", "IC(0)-PCG")
PAPER_NETWORKS = (STRICT, "DCDM network")
PAPER_PEERS = (*PAPER_BASELINES, *PAPER_NETWORKS, "multilevel network")
WINDOWS = (0, 1, 2, 5, None)
PRECISIONS = ("float64", "float32", "bfloat16", "float16")


def paper(sizes: tuple[int, ...] = (64, 128, 256), models: tuple[Peer, ...] = ()) -> Plan:
    """The paper's experiment: networks that saw the empty box, on obstacles and larger grids, with the ablations of window and precision.

    At 256^3 a network's run takes half an hour on two cores: `--only "256^3 | 0.0001 | 2 cores | DCDM"` or less than that is a piece.
    """
    entries = [
        Entry(Case(s, n), peers(*PAPER_PEERS) + models, (1e-4,)) for n, s in itertools.product(sizes, PAPER_SCENES)
    ]
    ablation = tuple(with_window(m) for m in WINDOWS) + tuple(in_precision(p) for p in PRECISIONS)
    entries += [Entry(Case("plume", sizes[0]), ablation, (1e-4,)), Entry(Case("bunny", sizes[0]), ablation, (1e-4,))]
    return Plan("paper", tuple(entries), PAPER_REPEATS, limit=7200.0)


SWEEPS = ((1,), (1, 2, 3), (2,), (2, 3, 4), (3,))
OMEGAS = (1.0, 1.1, 1.2, 1.3)
DEFAULT_CYCLE = "V234 omega 1.2"  # of `model="multigrid"`


def variants() -> tuple[Peer, ...]:
    """The classical cycles that the learned parameters are measured against."""
    return tuple(
        classical(f"V{''.join(map(str, sweeps))} omega {omega:g}", sweeps, omega)
        for sweeps, omega in itertools.product(SWEEPS, OMEGAS)
    )


def learning(sizes: tuple[int, ...] = (64, 128)) -> Plan:
    """What learning buys: the learned parameters against every classical cycle on the same kernels."""
    entries = [
        Entry(Case(s, n), (*peers("multilevel network"), *variants()))
        for n in sizes
        for s in gallery.names(3, rough=False)
    ]
    entries += [
        Entry(Case(s, 512, 2), (*peers("multilevel network"), *variants())) for s in gallery.names(2, rough=False)
    ]
    return Plan("learning", tuple(entries), ((20.0, 3),), limit=600.0)


def finals(finalists: int = 4) -> Plan:
    """The learned parameters and, of each size, the best classical cycles of `learning` and the default one again, often enough to tell them apart."""
    search, cycles, entries = latest("learning"), {peer.name: peer for peer in variants()}, []
    for group in learned.compared(search) if search else ():
        rivals = [cycles[name] for name in dict.fromkeys([*group.ranking[:finalists], DEFAULT_CYCLE])]
        entries += [
            Entry(Case(s, group.size, group.dim), (*peers("multilevel network"), *rivals))
            for s in gallery.names(group.dim, rough=False)
        ]
    return Plan("finals", tuple(entries), ((0.2, 25), (1.0, 15), (20.0, 3)), limit=600.0)


def iterations(sizes3: tuple[int, ...] = (64, 128, 256), sizes2: tuple[int, ...] = (256, 1024, 2048)) -> Plan:
    """How many iterations the multilevel network needs: every scene, size, right-hand side, two tolerances."""
    ours = peers("multilevel network", "multigrid")
    entries = [
        Entry(Case(scene, size, dim, rhs), ours, (1e-6, 1e-10))
        for dim, sizes in ((3, sizes3), (2, sizes2))
        for size, scene, rhs in itertools.product(sizes, gallery.names(dim, rough=False), ("physical", "noise"))
    ]
    return Plan("iterations", tuple(entries), ((1.0, 3),), limit=3600.0)


def wide(size3: int = 64, size2: int = 128) -> Plan:
    """The paper's network far from what it was trained on: every scene to 1e-8."""
    entries = [
        Entry(Case(scene, size, dim), peers("Jacobi-PCG", "DCDM network"), (1e-8,))
        for dim, size in ((2, size2), (3, size3))
        for scene in gallery.names(dim, rough=False)
    ]
    return Plan("wide", tuple(entries), FULL_REPEATS, limit=3600.0)


def matrix(path: Path, grid: tuple[int, ...], rhs: Path | None, rtol: float, cores: int) -> Plan:
    """A user's own system, against every peer that is here."""
    case = Case("", dim=len(grid), matrix=(path, rhs), grid=grid)
    entry = Entry(case, peers(*ON_CPU, *GPU, without=SLOW), (rtol,), cores)
    return Plan(f"matrix-{path.stem}", (entry,), ((5.0, 3),), limit=600.0)


def tiny() -> Plan:
    """Every peer on small grids, in a minute: for tests, and to see what is installed."""
    entries = (
        Entry(Case("box", 16), peers(*ON_CPU), (1e-6,)),
        Entry(Case("porous", 16, 2), peers(*ON_CPU), (1e-6,)),
        Entry(
            sequence(12, steps=20),
            peers("AMGCL SA-PCG", "PyAMG SA-PCG", "PETSc GAMG-PCG", "multigrid"),
            modes=(FRESH, WARM, KEPT),
        ),
    )
    return Plan("tiny", entries, ((20.0, 2),), limit=60.0)


PLANS: dict[str, Callable[[], Plan]] = {
    "quick": quick,
    "full": full,
    "race": race,
    "contrast": contrast,
    "contrast-core": contrast_core,
    "moving": moving,
    "scaling": scaling,
    "paper": paper,
    "learning": learning,
    "finals": finals,
    "iterations": iterations,
    "wide": wide,
    "tiny": tiny,
}


def network_from(text: str) -> Peer:
    """A peer from `NAME=FILE`: a network of the user's.

    Raises
    ------
    ValueError
        Where there is no such file.
    """
    name, found, file = text.partition("=")
    if not (found and name and Path(file).is_file()):
        raise ValueError(
            f"--model: {text!r} given; NAME=FILE with a model file, such as dcdm32=out/dcdm32-3d.safetensors, is needed"
        )
    return own(name, str(Path(file).resolve()), digest=digest(Path(file)))
