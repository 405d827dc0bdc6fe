"""`deepcg doctor`: what is installed, which backends work, and what to do about those that do not."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

PACKAGES = {  # distribution: (module, extra)
    "numpy": ("numpy", None),
    "scipy": ("scipy", None),
    "torch": ("torch", "network"),
    "safetensors": ("safetensors", "network"),
    "meshio": ("meshio", "mesh"),
    "libigl": ("igl", "mesh"),
    "pyevtk": ("pyevtk", "mesh"),
    "click": ("click", "cli"),
    "tqdm": ("tqdm", "cli"),
    "matplotlib": ("matplotlib", "cli"),
    "pyamg": ("pyamg", "peers"),
    "petsc4py": ("petsc4py", None),
}
CORE = ("python", "numpy", "scipy", "solve")


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes
    ----------
    name : str
    works : bool
    detail : str
        A version, or what was found.
    advice : str
        What to do where it does not work.
    """

    name: str
    works: bool
    detail: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{'ok' if self.works else '--':>4}  {self.name:<14} {self.detail}"
        return line if self.works or not self.advice else f"{line}\n{'':21}-> {self.advice}"


def core_works(checks: list[Check]) -> bool:
    """Whether systems can be solved at all, by whatever preconditioner."""
    return all(check.works for check in checks if check.name in CORE)


def examine() -> dict[str, list[Check]]:
    """All checks under their headings; a check that itself fails is one that does not work."""
    python = Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    return {
        "Installed": [python, *(_package(name) for name in PACKAGES)],
        "Backends": [
            _guarded("solve", _solve, "install deepcg again: pip install --force-reinstall deepcg"),
            _guarded("kernels", _kernels, "build them: make build (in a checkout; needs a C++ compiler with OpenMP)"),
            _guarded("torch CPU", _torch_cpu, "pip install 'deepcg[network]'"),
            _guarded(
                "CUDA GPU", _cuda, "needs an NVIDIA driver and a CUDA build of torch: https://pytorch.org/get-started"
            ),
            _guarded(
                "CUDA kernels",
                _cuda_kernels,
                "needs an NVIDIA GPU with its driver, and nvcc in the PATH for: make build",
            ),
            _guarded("PETSc plugin", _petsc_plugin, "only for use with PETSc: make petsc (in a checkout)"),
        ],
        "Shipped models": _models(),
    }


def _package(name: str) -> Check:
    module, extra = PACKAGES[name]
    if name == "petsc4py":
        install = "only for use with PETSc: pip install petsc petsc4py"
    else:
        install = f"pip install {name}" if extra is None else f"pip install 'deepcg[{extra}]'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    try:
        importlib.import_module(module)
    except ImportError as error:
        state = "not installed" if version is None else f"{version}, but cannot be imported: {_one_line(error)}"
        return Check(name, False, state, install)
    except Exception as error:  # a broken package may raise anything
        return Check(
            name, False, f"{version}, but cannot be imported: {_one_line(error)}", f"{install} --force-reinstall"
        )
    return Check(name, True, version or "version unknown")


def _guarded(name: str, examine_it: Callable[[], str], advice: str) -> Check:
    try:
        return Check(name, True, examine_it())
    except Exception as error:  # what does not work is the finding
        return Check(name, False, _one_line(error), advice)


def _solve() -> str:
    import numpy as np

    from ..api import solve
    from ..scenes.gallery import scene

    small = scene("sphere", 12, 2)
    x, info = solve(small.problem, small.rhs, model="jacobi")
    left = np.linalg.norm(small.rhs - small.problem.apply(x)) / np.linalg.norm(small.rhs)
    if info or left > 1e-6:
        raise RuntimeError(f"a small system is not solved: {info}")
    return f"{small.problem.size} unknowns to {left:.1e} in {info.iterations} iterations of Jacobi CG"


def _kernels() -> str:
    import numpy as np

    from ..native import library as native
    from ..scenes.gallery import scene

    native.require()
    problem = scene("sphere", 11, 3).problem
    x = np.random.default_rng(2311).standard_normal(problem.size)
    if not np.allclose(problem.apply(x), problem.matrix() @ x, rtol=0, atol=1e-12):
        raise RuntimeError(f"{native.LIBRARY.name} computes other products than the matrix")
    return f"{native.LIBRARY.name}, ABI {native.ABI_VERSION}, {threads()} thread(s)"


def threads() -> int:
    """How many threads OpenMP takes by default."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _torch_cpu() -> str:
    import torch

    layer = torch.nn.Conv3d(1, 2, 3, padding=1)
    with torch.inference_mode():
        if layer(torch.zeros(1, 1, 4, 5, 6)).shape != (1, 2, 4, 5, 6):
            raise RuntimeError("a convolution gives a wrong shape")
    return f"{torch.__version__}, {torch.get_num_threads()} thread(s)"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        built = "was built without CUDA" if torch.version.cuda is None else "finds no GPU or no driver"
        raise RuntimeError(f"torch {torch.__version__} {built}; networks run on the CPU")
    total = torch.ones(64, device="cuda").sum().item()
    if total != 64:
        raise RuntimeError(f"a sum on the GPU gives {total} where 64 is right")
    return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"


def _cuda_kernels() -> str:
    import numpy as np

    from ..multigrid.cuda import CudaCycle
    from ..multigrid.cycle import MultilevelCycle
    from ..multigrid.parameters import Parameters
    from ..scenes.gallery import scene

    problem = scene("sphere", 24, 3).problem
    gpu, cpu = (kind(problem, Parameters.classical()) for kind in (CudaCycle, MultilevelCycle))
    r = np.random.default_rng(2311).standard_normal(problem.shape).reshape(-1)
    z = cpu(r)
    if not np.linalg.norm(gpu(r) - z) <= 1e-5 * np.linalg.norm(z):
        raise RuntimeError("the multilevel network on the GPU is another one than on the CPU")
    return f"{gpu.kernels}, as on the CPU to rounding"


PETSC_TRIAL = """
import petsc4py
petsc4py.init(["deepcg", "-pc_type", "deepcg", "-ksp_type", "deepcg"])
from petsc4py import PETSc
import deepcg.petsc
path = deepcg.petsc.register()
def main():
    da = PETSc.DMDA().create(sizes=(12, 13), dof=1, stencil_width=1, comm=PETSc.COMM_SELF)
    A, b = da.createMat(), da.createGlobalVec()
    for row in range(156):
        for column, value in ((row, 4.0), (row - 12, -1.0), (row + 12, -1.0), (row - (row % 12 > 0), -1.0), (row + (row % 12 < 11), -1.0)):
            if 0 <= column < 156 and (column != row or value > 0):
                A.setValue(row, column, value)
    A.assemble()
    b.set(1.0)
    x = b.duplicate()
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setDM(da)
    ksp.setDMActive(False)
    ksp.setOperators(A)
    ksp.setFromOptions()
    ksp.solve(b, x)
    r = A * x - b
    print("ANSWER", r.norm() / b.norm(), ksp.getIterationNumber(), ".".join(map(str, PETSc.Sys.getVersion())), path)
    ksp.destroy()
main()
"""


def _petsc_plugin() -> str:
    from ..petsc.plugin import LIBRARY

    if not LIBRARY.exists():
        raise RuntimeError(f"{LIBRARY.name} is not built")
    run = subprocess.run(  # apart: MPI may end the process that it does not work in
        [sys.executable, "-c", PETSC_TRIAL], capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    answers = [line.split() for line in run.stdout.splitlines() if line.startswith("ANSWER")]
    if not answers:
        raise RuntimeError((run.stderr.strip().splitlines() or ["no answer"])[-1])
    _, residual, iterations, version, path = answers[0]
    if not float(residual) <= 1e-4:
        raise RuntimeError(f"a small system is not solved: relative residual {residual}")
    return (
        f"PETSc {version}, {iterations} iterations on a small system; load it with PETSC_OPTIONS='-dll_append {path}'"
    )


def _models() -> list[Check]:
    from ..io import model_file

    shipped = model_file.shipped()
    if not shipped:
        return [Check("(none)", False, "no model comes with this installation", "deepcg train --dim 3 trains one")]
    again = "where it lacks nothing, its file is damaged: install deepcg again"
    return [_guarded(name, partial(_model, path), again) for name, path in sorted(shipped.items())]


def _model(path: Path) -> str:
    from ..io import model_file
    from ..preconditioners.registry import entry_of

    entry, description = entry_of(path), model_file.describe(path)
    if lacking := entry.needs():
        raise RuntimeError(f"needs {lacking}")
    entry.self_test(path)
    return f"{description['parameters']:,} parameters, self-test passed"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
