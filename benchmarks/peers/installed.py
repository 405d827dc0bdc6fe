"""What a peer needs that is not deepcg's own, whether it is here, and how to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

HOW = {
    "pyamg": "pip install 'deepcg[peers]'",
    "ilupp": "pip install 'deepcg[peers]'",
    "pyamgcl": "`make bench-peers` compiles it",
    "torch": "pip install 'deepcg[network]'",
    "safetensors": "pip install 'deepcg[network]'",
    "pyamgx": "it is in no package registry: compile AMGX and its Python interface from their sources",
}


def without(package: str) -> str:
    """Why a Python package cannot be used, and what to do; empty where it can."""
    return "" if importlib.util.find_spec(package) else f"not installed: {package}; {HOW[package]}"


def without_petsc() -> str:
    """The same for PETSc with MPI: Debian's (python3-petsc4py, with hypre), or any petsc4py that this interpreter imports."""
    if not shutil.which("mpiexec"):
        return "not installed: mpiexec; `make bench-peers`, or apt-get install openmpi-bin"
    if not petsc_python():
        return "not installed: petsc4py; `make bench-peers`, or apt-get install python3-petsc4py"
    return ""


def without_hypre() -> str:
    """The same for hypre inside that PETSc."""
    found = petsc_python()
    if without_petsc() or found is None:
        return without_petsc()
    if _runs(*found, "from petsc4py import PETSc; raise SystemExit(not PETSc.Sys.hasExternalPackage('hypre'))"):
        return ""
    return f"not installed: hypre in the PETSc of {found[0]}; `make bench-peers` has Debian's"


@lru_cache
def petsc_python() -> tuple[str, str | None] | None:
    """An interpreter that imports petsc4py, and the PETSC_DIR that it needs: this one, or Debian's."""
    given = os.environ.get("PETSC_DIR")
    debian = "/usr/bin/python3"
    packaged = sorted(Path("/usr/lib/petscdir").glob("petsc*/*-real"), reverse=True)
    places = [(sys.executable, given), (debian, given), *((debian, str(path)) for path in packaged)]
    return next((place for place in places if _runs(*place, "from petsc4py import PETSc")), None)


@lru_cache
def _runs(python: str, petsc_dir: str | None, code: str) -> bool:
    """Whether an interpreter runs the code to its end."""
    environment = os.environ | ({"PETSC_DIR": petsc_dir} if petsc_dir else {})
    try:
        return subprocess.run([python, "-c", code], env=environment, capture_output=True).returncode == 0
    except OSError:
        return False


@lru_cache
def cuda_kernels() -> str:
    """Why deepcg's CUDA kernels cannot be used here; empty where they can."""
    from deepcg.native import device

    try:
        device.library()
    except Exception as error:
        return " ".join(str(error).split())[:200]
    return ""
