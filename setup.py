"""Builds the kernels (kernels/Makefile) beside the package; everything else is in pyproject.toml."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def build_kernels(folder: Path) -> None:
    """Build the libraries of kernels/Makefile into folder; without a compiler the package can be imported, and no more.

    The CUDA kernels are built where nvcc is found (NVCC or PATH; an empty NVCC: not at all). The rest needs none of them.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None or shutil.which("make") is None:
        missing = "C++ compiler" if compiler is None else "make"
        print(f"deepcg: no {missing} found (install one, or set CXX); without the kernels nothing can be solved")
        return
    nvcc = os.environ.get("NVCC", shutil.which("nvcc")) or ""
    make = ["make", "--silent", "-C", str(ROOT / "kernels"), f"-j{os.cpu_count()}"]
    make += [f"CXX={compiler}", f"NVCC={nvcc}", f"OUT={folder.resolve()}", f"BUILD={ROOT / 'build' / 'kernels'}"]
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of a make that called this, for its own targets
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    subprocess.run([*make, "cpu"], check=True, env=environment)
    if not nvcc:
        return
    try:
        subprocess.run([*make, "cuda"], check=True, env=environment)
    except subprocess.CalledProcessError as error:
        (folder / "libdeepcg_cuda.so").unlink(missing_ok=True)  # an older one would not fit
        print(f"deepcg: the CUDA kernels were not built, and device='cuda' will not work for them: {error}")


class BuildKernelsInPlace(Command):
    """`python setup.py build_kernels`: compile into the checkout, for an editable installation."""

    user_options: ClassVar[list] = []

    def initialize_options(self):
        pass

    def finalize_options(self):
        pass

    def run(self):
        build_kernels(ROOT / "deepcg")


class BuildWithKernels(build_py):
    def run(self):
        super().run()
        package = ROOT / "deepcg" if self.editable_mode else Path(self.build_lib) / "deepcg"
        package.mkdir(parents=True, exist_ok=True)
        build_kernels(package)


class PlatformDistribution(Distribution):
    """The wheel holds a shared library, so it is for this platform only."""

    def has_ext_modules(self):
        return True


setup(
    cmdclass={"build_py": BuildWithKernels, "build_kernels": BuildKernelsInPlace},
    distclass=PlatformDistribution,
)
