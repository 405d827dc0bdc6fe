"""The preconditioners that there are: by name, by the architecture of a model file, or as the user has them.

To add one: a class in a file of this folder, with the members of `deepcg.preconditioners.base.Preconditioner`, and its entry in `ENTRIES`.
The solver, `deepcg solve --model` and `deepcg info` know it then, and `deepcg doctor` checks the shipped model files of an architecture.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dcdm.preconditioner import DCDMPreconditioner
from ..io import model_file
from ..multigrid.cuda import CudaCycle
from ..multigrid.cycle import MultilevelCycle
from ..multigrid.parameters import Parameters
from ..multigrid.parameters import load as load_parameters
from ..multigrid.parameters_file import check_self_test
from ..native import library as native
from ..problem.poisson import Poisson
from .algebraic import MISSING, AlgebraicMultigrid, installed
from .base import Preconditioner, capability
from .simple import Identity, Jacobi
from .user import UserOperator


@dataclass(frozen=True)
class Entry:
    """A preconditioner that can be asked for.

    Attributes
    ----------
    name : str
        For `model=`; of an architecture, the word in its model files.
    summary : str
        One line.
    classes : of a device -> the class that works there
        What it is capable of are the class's attributes.
    factory : (problem, device) -> preconditioner, and the path of the model file if it needs one
    check : path of a model file -> None
        Of an architecture, whose parameters come from files: raises where the network in one does not answer as it did when it was saved.
    needs : () -> str
        What it lacks here and how to get it; empty where it runs.
    dimensions : of the problems that it serves
    """

    name: str
    summary: str
    classes: Mapping[str, Any]
    factory: Callable[..., Preconditioner]
    check: Callable[[Path], Any] | None = None
    needs: Callable[[], str] = lambda: ""
    dimensions: tuple[int, ...] = (2, 3)

    @property
    def from_file(self) -> bool:
        """Whether it is an architecture."""
        return self.check is not None

    def self_test(self, path: Path) -> None:
        """Let the network in a model file answer what it answered when it was saved.

        Raises
        ------
        ModelFileError
            It answers something else.
        """
        if self.check is not None:
            self.check(path)

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self.classes)

    @property
    def linear(self) -> bool:
        return all(c.linear for c in self.classes.values())

    @property
    def spd(self) -> bool:
        return all(c.spd for c in self.classes.values())

    def native_methods(self, device: str = "cpu") -> tuple[str, ...]:
        """The methods ("cg", "dcd") whose iteration is compiled around it on a device."""
        methods = {"cg": "native_cg", "dcd": "native_directions"}
        return tuple(m for m, name in methods.items() if capability(self.classes[device], name) is not None)

    @property
    def capabilities(self) -> str:
        """For the reader: what it may be used for and where."""
        kind = "SPD" if self.linear and self.spd else "linear" if self.linear else "not linear"
        native_on = [f"native {'+'.join(methods)} on {d}" for d in self.devices if (methods := self.native_methods(d))]
        where = "/".join(self.devices)
        return ", ".join([kind, where, "/".join(f"{d}-D" for d in self.dimensions), *native_on])


def _kernels_missing() -> str:
    return f"the compiled kernels: make build ({native.unavailable})" if native.unavailable else ""


def _torch_missing() -> str:
    return "" if importlib.util.find_spec("torch") else "PyTorch: pip install 'deepcg[network]'"


def multilevel_cycle(
    problem: Poisson, parameters: Parameters, name: str, device: str = "auto"
) -> MultilevelCycle | CudaCycle:
    """The multilevel network through the kernels for `device`; "auto" is the CPU."""
    return (CudaCycle if device == "cuda" else MultilevelCycle)(problem, parameters, name)


def _multilevel(problem: Poisson, device: str, path: str | os.PathLike) -> Preconditioner:
    parameters, description = load_parameters(path)
    made = multilevel_cycle(problem, parameters, description["name"], device)
    made.description = description
    return made


def _check_dcdm(path: Path) -> None:
    from ..dcdm.file import load_network

    load_network(path)


CYCLES = {"cpu": MultilevelCycle, "cuda": CudaCycle}
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("none", "no preconditioner: plain conjugate gradients", {"cpu": Identity}, lambda p, device: Identity(p)),
        Entry("jacobi", "the inverse diagonal", {"cpu": Jacobi}, lambda p, device: Jacobi(p)),
        Entry(
            "multigrid", "geometric multigrid V-cycle: the multilevel network with classical parameters", CYCLES,
            lambda p, device: multilevel_cycle(p, Parameters.classical(), "multigrid", device), needs=_kernels_missing,
        ),
        Entry(
            "amg", "algebraic multigrid, by AMGCL or PyAMG", {"cpu": AlgebraicMultigrid},
            lambda p, device: AlgebraicMultigrid(p), needs=lambda: "" if installed() else MISSING,
        ),
        Entry(
            "multilevel", "the multilevel network with learned parameters", CYCLES, _multilevel, check_self_test, _kernels_missing
        ),
        Entry(
            "dcdm", "the network of Kaneda et al. 2023", {"cpu": DCDMPreconditioner, "cuda": DCDMPreconditioner},
            lambda p, device, path: DCDMPreconditioner.from_file(p, path, device), _check_dcdm, _torch_missing,
        ),
    )
}  # fmt: skip


def entry_of(path: str | os.PathLike) -> Entry:
    """The architecture of a model file.

    Raises
    ------
    ModelFileError
        No model file, or of an architecture that is not here.
    """
    architecture = model_file.describe(path)["architecture"]
    entry = ENTRIES.get(architecture)
    if entry is None or not entry.from_file:
        known = ", ".join(repr(e.name) for e in ENTRIES.values() if e.from_file)
        raise model_file.ModelFileError(f"{path}: architecture {architecture!r}; this deepcg knows {known}")
    return entry


def names() -> tuple[str, ...]:
    """The names that `model=` takes besides "auto"; shipped models without their dimension."""
    shipped = {name.rpartition("-")[0] for name in model_file.shipped()}
    return (*(e.name for e in ENTRIES.values() if not e.from_file), *sorted(shipped))


def build(problem: Poisson, model: Any = "auto", device: str = "auto") -> Preconditioner:
    """The preconditioner that `model` names.

    Parameters
    ----------
    problem : Poisson
    model : str, path or preconditioner object
        "auto" (see `automatic`), one of `names()`, a model file, an object with the members of `Preconditioner`, or an operator, matrix or
        function over the user's unknowns.
    device : "auto", "cpu" or "cuda"
        Of models that run on either; the others work on the CPU.

    Raises
    ------
    ModelFileError (a ValueError)
        Unknown name, or a file that is missing, truncated or foreign.
    """
    if isinstance(model, str) and model == "auto":
        model = automatic(problem)
    if isinstance(model, str) and model in ENTRIES and not ENTRIES[model].from_file:
        return ENTRIES[model].factory(problem, device)
    if isinstance(model, (str, os.PathLike)):
        return _from_file(problem, model_file.resolve(model, problem.ndim), device)
    if hasattr(model, "update") and hasattr(model, "linear") and callable(model):
        model.update(problem)
        return model
    if callable(model) or hasattr(model, "matvec") or hasattr(model, "dot"):
        return UserOperator(problem, model)
    raise TypeError(
        f"model: {type(model).__name__} given; a name, a path, a LinearOperator or a preconditioner is needed"
    )


def _from_file(problem: Poisson, path: Path, device: str) -> Preconditioner:
    entry, description = entry_of(path), model_file.describe(path)
    if description["dimension"] != problem.ndim:
        raise ValueError(
            f"model: {description['name']} is for {description['dimension']}-D problems; this one is {problem.ndim}-D"
        )
    return entry.factory(problem, device, path)


def automatic(problem: Poisson) -> str:
    """The model that "auto" stands for: the shipped multilevel network of the dimension, or "multigrid" where safetensors, which reads it, is missing."""
    learned = f"multilevel-{problem.ndim}d"
    readable = importlib.util.find_spec("safetensors") is not None
    return learned if readable and learned in model_file.shipped() else "multigrid"
