"""Systems through PETSc: a matrix whose rows lie dealt out to the ranks in whole layers, and the native KSP or PC of the plugin."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.campaign.parameters import model
from benchmarks.campaign.systems import System
from benchmarks.campaign.ways import Claim, dimension

MAXITER = 10_000


def single() -> Any:
    """The communicator of this process alone, with the plugin registered."""
    return module().COMM_SELF


def module() -> Any:
    import petsc4py

    petsc4py.init(["campaign", "-no_signal_handler"])
    from petsc4py import PETSc

    import deepcg.petsc

    deepcg.petsc.register()
    return PETSc


def solve(system: System, comm: Any) -> Claim:
    """What the KSP answers, on however many ranks; x is whole on rank 0 and empty elsewhere. Errors are ValueErrors with the last line that PETSc says."""
    PETSc = module()
    try:
        return _solve(PETSc, system, comm)
    except PETSc.Error as error:
        raise ValueError(str(error).splitlines()[-1].partition("] ")[2] or str(error)) from None


def _solve(PETSc: Any, system: System, comm: Any) -> Claim:
    shape = system.arguments["shape"]
    first, last = layers(shape, comm)
    A, size = system.A, system.A.shape[0]
    part = A[first:last]
    csr = (part.indptr.astype(PETSc.IntType), part.indices.astype(PETSc.IntType), part.data)
    mat = PETSc.Mat().createAIJ(((last - first, size), (last - first, size)), csr=csr, comm=comm)
    if system.null_space:
        mat.setNullSpace(PETSc.NullSpace().create(constant=True, comm=comm))
    x, b = mat.createVecs()
    b.setArray(system.b[first:last])
    cg = system.way == "CG with PC deepcg"
    ksp = PETSc.KSP().create(comm)
    ksp.setOperators(mat)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(
        rtol=system.settings["rtol"],
        atol=max(system.settings["atol"], 0.0),
        divtol=1e300,
        max_it=system.settings.get("maxiter", MAXITER),
    )
    given = {
        "ksp_type": "cg" if cg else "deepcg",
        "pc_type": "deepcg",
        "pc_deepcg_grid": ",".join(str(n) for n in reversed(shape)),
        "pc_deepcg_model": str(model(system.model, dimension(system))),
        "ksp_deepcg_inconsistent": "project",  # as in Python; what was taken off is judged
    }
    options = PETSc.Options()
    try:
        for name, value in given.items():
            options[name] = value
        ksp.setFromOptions()
        if system.x0 is not None:
            x.setArray(system.x0[first:last])
            ksp.setInitialGuessNonzero(True)
        ksp.solve(b, x)
        reason, iterations = ksp.getConvergedReason(), ksp.getIterationNumber()
        scatter, whole = PETSc.Scatter.toZero(x)
        scatter.scatter(x, whole)
        return Claim(whole.getArray().copy(), reason > 0, f"PETSc's reason {reason}", iterations, None, own_stop=not cg)
    finally:
        for name in given:
            options.delValue(name)
        for made in (ksp, mat, x, b):
            made.destroy()


def layers(shape: tuple[int, ...], comm: Any) -> tuple[int, int]:
    """The rows of this rank: whole layers of the grid."""
    at = [shape[0] * rank // comm.getSize() for rank in (comm.getRank(), comm.getRank() + 1)]
    layer = int(np.prod(shape[1:]))
    return at[0] * layer, at[1] * layer
