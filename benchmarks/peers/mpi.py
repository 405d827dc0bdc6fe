"""The environment of programs under mpiexec, here and in the tests: one thread a rank, and Open MPI's refusals for small machines off."""

from __future__ import annotations

import os

CHANGES: dict[str, str | None] = {
    "PETSC_OPTIONS": None,
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",  # in containers; Open MPI wants it said twice
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl_base_warn_component_unused": "0",
}
"""What differs from this process' environment; None takes a variable away."""

ENVIRONMENT = {name: value for name, value in {**os.environ, **CHANGES}.items() if value is not None}
