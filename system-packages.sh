#!/bin/sh
# What the virtual environment cannot hold: Python's venv module, a C++ compiler, headers for packages that compile.
# system-packages.sh PYTHON         what everything needs
# system-packages.sh PYTHON petsc   and what `make petsc` needs: PETSc with headers and examples, MPI, Fortran
# system-packages.sh PYTHON peers   and what `make bench-peers` needs: MPI and PETSc to run, Boost's headers to compile AMGCL
set -eu
python=${1:-python3}
missing=""
frugal=""
command -v "$python" >/dev/null 2>&1 || missing="$missing python3"
"$python" -c "import venv, ensurepip" >/dev/null 2>&1 || missing="$missing python3-venv"
command -v g++ >/dev/null 2>&1 || missing="$missing g++"
command -v make >/dev/null 2>&1 || missing="$missing make"
[ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h" ] ||
    missing="$missing python3-dev"
if [ "${2:-}" = peers ]; then
    [ -e /usr/include/boost/version.hpp ] || missing="$missing libboost-dev"
    command -v mpiexec >/dev/null 2>&1 || missing="$missing openmpi-bin"
    ls -d /usr/lib/petscdir/*/*-real/lib/python3/dist-packages/petsc4py >/dev/null 2>&1 || "$python" -c "import petsc4py" >/dev/null 2>&1 ||
        missing="$missing python3-petsc4py libopenblas0-serial"
fi
# Debian's PETSc, unless PETSC_DIR names another one
if [ "${2:-}" = petsc ]; then
    command -v mpiexec >/dev/null 2>&1 || missing="$missing openmpi-bin"
    command -v mpicc >/dev/null 2>&1 || missing="$missing libopenmpi-dev"
    command -v mpif90 >/dev/null 2>&1 && command -v gfortran >/dev/null 2>&1 || missing="$missing gfortran libopenmpi-dev"
    command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
    if [ -z "${PETSC_DIR:-}" ]; then
        pkg-config --exists PETSc 2>/dev/null || missing="$missing libpetsc-real-dev"
        ls -d /usr/share/petsc/*/share/petsc/examples >/dev/null 2>&1 || missing="$missing libpetsc3.18-dev-examples"
    fi
    frugal="--no-install-recommends" # they are debugging symbols and shells
fi
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "deepcg: installing system packages:$missing"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $frugal $missing >/dev/null
else
    echo "deepcg: these system packages are missing:$missing" >&2
    echo "        install them as root, for example: apt-get install$missing" >&2
    exit 1
fi
