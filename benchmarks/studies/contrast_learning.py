"""What learned functions in the set-up of the sparse levels gain over constants: trained on random rough fields, measured on others.

    python -m benchmarks.studies.contrast_learning [--minutes 30] [--hidden 16] [--kinds inclusions ...] [--name general]

Trains in PyTorch on one thread and adds what it measured to results/contrast_learning.json under its name: iterations with the constants and with the learned
functions, on the fields of `contrast_ceiling` or, with `--kinds`, on new fields of the kinds it was trained on. The parameters go to out/contrast_learning.

The network (`Learned`) is shared by all unknowns and levels. It sees ratios only, each as r(x) = softsign(log(x) / 4):

- features f_u: r of x / d_u for x the sum of u's edges inside its part, the sum of those that cross, S (`sparse_conductances`), u's Dirichlet coupling
  and shift, w_any, the sum of its part's diagonals, the strongest crossing edge; and 1 where u has an edge inside its part, 0 elsewhere;
- hidden layer: p_u = W f_u + l, l one of two vectors (finest level, all below); h_u = softsign(p_u + V sum over v of (w_uv / d_u) softsign(p_v)), so that an
  unknown sees what lies two cells away;
- conductances: g = w (3/4 + softsign(y + z_uv + z_vu) / 4) in [w/2, w], y chosen so that z = 0 gives the constants' g, and
  z_uv = 10 a . softsign(B e_uv + C h_u + D h_v), e_uv = r of (w / d_u, w / d_v, w_axis / w, w_any / w);
- relaxation: with o = 3 F softsign(E h_u) a factor (1 + softsign(o_2 + 9)) / 2 in (0, 1) below the finest level, 1 + 0.45 softsign(o_1) on it. The factors
  omega of the sweeps are learned too, within the bounds of the proof in `sparse_cycle`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softsign

from benchmarks.paths import RESULTS, ROOT
from benchmarks.studies import contrast_ceiling as ceiling
from deepcg.io.files import write_atomically
from deepcg.multigrid.reference.coarse_operator import index
from deepcg.multigrid.reference.sparse_conductances import Surroundings
from deepcg.multigrid.reference.sparse_cycle import Rule, SparseCycle
from deepcg.training.rough_fields import KINDS

FEATURES, EDGE_FEATURES = 8, 4
FINEST_BELOW, FINEST_SPREAD = 1.35, 0.45  # omega and factor of the finest level: their product stays below 2
SIZES = {2: (16, 41), 3: (8, 14)}  # cells per axis of the training fields
COARSEST = 24  # unknowns: small fields have several levels all the same


def ratio(x: Tensor) -> Tensor:
    return softsign(0.25 * torch.log(x.clamp_min(1e-9)))


def unbounded(x: Tensor) -> Tensor:
    """The inverse of softsign."""
    return x / (1.0 - x.abs())


class Learned(nn.Module, Rule):
    """A rule whose conductances and relaxation are functions of the surroundings; without training it is the rule itself, nearly.

    Parameters
    ----------
    hidden : width of the layers
    conductive, relaxing : whether the conductances, or the relaxation's factors, are learned
    """

    def __init__(self, hidden: int = 16, conductive: bool = True, relaxing: bool = True, seed: int = 0):
        nn.Module.__init__(self)
        torch.manual_seed(seed)
        self.conductive, self.relaxing = conductive, relaxing
        self.node = nn.Linear(FEATURES, hidden)
        self.level = nn.Parameter(torch.zeros(2, hidden))  # the finest, all below
        self.message = nn.Linear(hidden, hidden, bias=False)
        self.edge = nn.Linear(EDGE_FEATURES, hidden)
        self.edge_near, self.edge_far = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))
        self.edge_out, self.factor_in, self.factor_out = (
            nn.Linear(hidden, 1),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, 2),
        )
        self.raw_omega = nn.Parameter(torch.tensor([-1.5, 0.53]))
        self.raw_finest = nn.Parameter(torch.full((2,), 2.375))
        self._seen: tuple[Surroundings, Tensor] | None = None
        with torch.no_grad():
            for out in (self.edge_out, self.factor_out):
                out.weight.mul_(0.05)
                out.bias.zero_()
        Rule.__init__(self)

    @property
    def omega(self) -> Sequence[Sequence[Tensor]]:
        """Two factors: |(1 - omega_1 t) (1 - omega_2 t)| < 1 on (0, 2] as the mean of their inverses is above 1 and their spread below sqrt(1/2) of it."""
        middle = 1.5 + 0.5 * softsign(self.raw_omega[0])
        spread = 0.35 + 0.35 * softsign(self.raw_omega[1])
        return ((1.0 / (middle * (1.0 + spread)), 1.0 / (middle * (1.0 - spread))),)

    @omega.setter
    def omega(self, value: object) -> None:
        """The constants' own factors, which the initial parameters stand for."""

    @property
    def omega_finest(self) -> Sequence[Tensor]:
        return tuple(0.5 * FINEST_BELOW * (1.0 + softsign(self.raw_finest)))

    @omega_finest.setter
    def omega_finest(self, value: object) -> None:
        """As for `omega`."""

    def hidden(self, around: Surroundings, number: int) -> Tensor:
        """(unknowns, hidden) the hidden layer of a level's unknowns."""
        if self._seen and self._seen[0] is around:
            return self._seen[1]
        level, parts, d = around.level, around.parts, around.level.diagonal
        near, members = index(around.near, d), np.flatnonzero(parts.part >= 0)
        kept, part = index(members, d), index(parts.part[members], d)
        whole = d.index_copy(0, kept, d.new_zeros(parts.count).index_add(0, part, d[kept])[part])
        crossing = d.new_zeros(len(d)).index_add(0, near, around.w)
        strongest = d.new_zeros(len(d)).scatter_reduce(0, near, around.w, "amax")
        shares = (
            around.inside, crossing, around.mean, level.dirichlet + level.shift, around.strongest, whole, strongest,
        )  # fmt: skip
        features = torch.stack([*(ratio(x * level.inverse_diagonal) for x in shares), (around.inside > 0).to(d)], 1)
        own = self.node(features) + self.level[min(number, 1)]
        share = level.weight_at_ends * level.inverse_diagonal[level.ends]
        found = softsign(own + self.message(level.sum_at_ends(share[:, None] * softsign(own)[level.others])))
        self._seen = around, found
        return found

    def conductances(self, around: Surroundings, number: int) -> Tensor:
        w, d, m = around.w, around.level.diagonal, len(around.crossing)
        r = around.resistances(self.across) * w
        y = unbounded((4.0 * self.c / (1.0 + r[:m] + r[m:]) - 3.0).clamp(-0.94, 0.94))
        if self.conductive:
            h, near, far = self.hidden(around, number), index(around.near, w), index(around.far, w)
            seen = (w / d[near], w / d[far], around.along / w, around.strongest[near] / w)
            inner = (
                self.edge(torch.stack([ratio(x) for x in seen], 1)) + self.edge_near(h)[near] + self.edge_far(h)[far]
            )
            z = 10.0 * self.edge_out(softsign(inner))[:, 0]
            y = y + z[:m] + z[m:]
        return w[:m] * (0.75 + 0.25 * softsign(y))

    def relaxation(self, around: Surroundings, number: int) -> Tensor | None:
        if not self.relaxing:
            return None
        out = 3.0 * self.factor_out(softsign(self.factor_in(self.hidden(around, number))))
        if number == 0:
            return 1.0 + FINEST_SPREAD * softsign(out[:, 0])
        return 0.5 * (1.0 + softsign(out[:, 1] + 9.0))


def random_cycle(rng: np.random.Generator, rule: Rule, kinds: Sequence[str]) -> tuple[ceiling.System, SparseCycle]:
    """A random field of one of the kinds, and its cycle with a small coarsest level."""
    dim, kind = int(rng.integers(2, 4)), str(rng.choice(kinds))
    coefficient = KINDS[kind](rng, (int(rng.integers(*SIZES[dim])),) * dim)
    system = ceiling.system_of(kind, coefficient, int(rng.integers(2**31)))
    direct, rule.direct = rule.direct, COARSEST
    try:
        return system, SparseCycle(system.level, system.widths, rule)
    finally:
        rule.direct = direct


def loss(
    system: ceiling.System, cycle: SparseCycle, rng: np.random.Generator, columns: int = 8, steps: int = 7
) -> Tensor:
    """Mean logarithm of what one preconditioned steepest-descent step leaves of errors in the A-norm, after 0 to `steps` such steps."""
    level = system.level
    e = torch.as_tensor(rng.standard_normal((level.unknowns, columns)))
    with torch.no_grad():
        for step in range(steps):
            going = slice((step + 1) * columns // (steps + 1), None)
            r = level.apply(e[:, going])
            z = cycle(r)
            after = e[:, going] - (z * r).sum(0) / (z * level.apply(z)).sum(0) * z
            e[:, going] = after / after.abs().amax(0)
    r = level.apply(e)
    z = cycle(r)
    left = 1.0 - (z * r).sum(0) ** 2 / ((e * r).sum(0) * (z * level.apply(z)).sum(0))
    return 0.5 * torch.log(left.clamp_min(1e-12)).mean()


def validation(rule: Rule, kinds: Sequence[str], fields: int = 40) -> float:
    """The mean loss on fields that are no training fields."""
    rng = np.random.default_rng(999)
    with torch.no_grad():
        return float(np.mean([loss(*random_cycle(rng, rule, kinds), rng) for _ in range(fields)]))


def train(
    net: Learned,
    seconds: float,
    kinds: Sequence[str],
    rate: float = 0.01,
    seed: int = 1,
    batch: int = 4,
    path: Path | None = None,
) -> int:
    """Adam with a warm-up and a cosine over the time given; returns the number of fields trained on."""
    optimiser, rng = torch.optim.Adam(net.parameters(), rate), np.random.default_rng(seed)
    begin, fields, recent = time.monotonic(), 0, []
    while (share := (time.monotonic() - begin) / seconds) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (fields / batch + 1.0) / 20.0) * (0.5 * (1.0 + np.cos(np.pi * share)) + 0.02)
        optimiser.zero_grad()
        for _ in range(batch):
            value = loss(*random_cycle(rng, net, kinds), rng)
            (value / batch).backward()
            recent.append(float(value.detach()))
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        fields += batch
        if fields % (100 * batch) == 0:
            print(
                f"{fields} fields, {time.monotonic() - begin:.0f} s, loss {np.mean(recent[-100 * batch :]):.4f}",
                flush=True,
            )
            if path:
                torch.save(net.state_dict(), path)
    return fields


def measured(net: Learned, kinds: Sequence[str] | None, sizes: dict[int, int], seed: int) -> dict[str, Any]:
    """Iterations of the rule and of the learned functions, field by field, and the geometric mean of their ratios."""
    if kinds is None:
        chosen = ceiling.systems(sizes, [seed])
    else:
        rng = np.random.default_rng(seed)
        chosen = [
            ceiling.system_of(kind, KINDS[kind](rng, (n,) * dim), seed + k)
            for kind in kinds for dim, n in sizes.items() for k in range(8)
        ]  # fmt: skip
    rules = {"constants": Rule(), "learned": net}
    with torch.no_grad():
        found = {
            name: ceiling.measure(lambda level, widths, rule=rule: SparseCycle(level, widths, rule), chosen)
            for name, rule in rules.items()
        }
    gains = [a["iterations"] / b["iterations"] for a, b in zip(found["constants"], found["learned"], strict=True)]
    return {
        "gain": ceiling.geometric_mean(gains),
        "iterations": {
            name: ceiling.geometric_mean([e["iterations"] for e in entries]) for name, entries in found.items()
        },
        "least gain": min(gains),
        "fields": [
            {
                "kind": a["kind"],
                "dim": a["dim"],
                "size": a["size"],
                "constants": a["iterations"],
                "learned": b["iterations"],
            }
            for a, b in zip(found["constants"], found["learned"], strict=True)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="general")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="adapt to these kinds instead of all")
    parser.add_argument("--start", type=Path, help="parameters to begin with")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs=2,
        default=[96, 24],
        help="cells per axis in 2-D and in 3-D of the fields measured on",
    )
    parser.add_argument("--seed", type=int, default=301, help="of the fields measured on")
    parser.add_argument("--output", type=Path, default=RESULTS / "contrast_learning.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    net, kinds = Learned(arguments.hidden), arguments.kinds or list(KINDS)
    if arguments.start:
        net.load_state_dict(torch.load(arguments.start))
    folder = ROOT / "out" / "contrast_learning"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{arguments.name}.pt"
    before = validation(Rule(), kinds)
    fields = train(net, 60.0 * arguments.minutes, kinds, arguments.rate, path=path)
    torch.save(net.state_dict(), path)
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    results[arguments.name] = {
        "parameters": sum(p.numel() for p in net.parameters()), "hidden": arguments.hidden, "minutes": arguments.minutes, "fields trained on": fields,
        "kinds": kinds, "validation": {"constants": before, "learned": validation(net, kinds)},
        "omega": [[omega.item() for omega in factors] for factors in (*net.omega, net.omega_finest)],
        "measured": measured(net, arguments.kinds, dict(zip((2, 3), arguments.sizes, strict=True)), arguments.seed),
    }  # fmt: skip
    write_atomically(arguments.output, json.dumps(results, indent=1).encode(), overwrite=True)
    print(json.dumps({k: v for k, v in results[arguments.name]["measured"].items() if k != "fields"}, indent=1))


if __name__ == "__main__":
    main()
