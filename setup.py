"""Builds the kernels (one shared library behind a C ABI) beside the package; everything else is in pyproject.toml."""

import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


CODE = ["-std=c++17", "-O3", "-fopenmp", "-fPIC", "-fvisibility=hidden"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi"]
CPU_CYCLE = re.compile(
    r'#include "(cycle|pcg|krylov_rows|rows)[.]'
)  # sources that libdeepcg_cuda.so does without; it takes the set-up
CUDA_ARCHITECTURES = (75, 80, 90)  # and 90 as PTX, for whatever comes after
CONTRACTION = {
    "rows_avx2.cpp": "fast"
}  # fused multiply-add where the file asks for the instruction; elsewhere as written


def build_kernels(target: Path) -> None:
    """Compile kernels/ into target; without a C++ compiler the package works on NumPy, more slowly."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        print("deepcg: no C++ compiler found (set CXX); the NumPy reference is used instead of the kernels")
        return
    sources = sorted((ROOT / "kernels" / "src").glob("*.cpp"))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:

        def compile_one(source: Path) -> str:
            made = str(Path(folder) / f"{source.stem}.o")
            contraction = f"-ffp-contract={CONTRACTION.get(source.name, 'off')}"
            include = f"-I{ROOT / 'kernels' / 'include'}"
            subprocess.run(
                [compiler, *CODE, *WARNINGS, contraction, include, "-c", str(source), "-o", made], check=True
            )
            return made

        objects = list(pool.map(compile_one, sources))
        subprocess.run([compiler, "-shared", "-fopenmp", *objects, "-o", str(target)], check=True)
        set_up = [o for o, source in zip(objects, sources, strict=True) if not CPU_CYCLE.search(source.read_text())]
        build_cuda(target.with_name("libdeepcg_cuda.so"), set_up, folder)


def build_cuda(target: Path, objects: list[str], folder: str) -> None:
    """Compile kernels/cuda/ where nvcc is found (NVCC or PATH; an empty NVCC: not at all); the rest works without it."""
    nvcc = os.environ.get("NVCC", shutil.which("nvcc"))
    if not nvcc:
        return
    target.unlink(missing_ok=True)  # an older one would not fit
    made = str(Path(folder) / "deepcg_cuda.o")
    machines = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in CUDA_ARCHITECTURES]
    machines.append(f"-gencode=arch=compute_{CUDA_ARCHITECTURES[-1]},code=compute_{CUDA_ARCHITECTURES[-1]}")
    code = ["-std=c++17", "-O3", "-Xcompiler=-fPIC,-fvisibility=hidden,-fopenmp", f"-I{ROOT / 'kernels' / 'include'}"]
    source = str(ROOT / "kernels" / "cuda" / "deepcg_cuda.cu")
    try:
        subprocess.run([nvcc, *code, *machines, "-c", source, "-o", made], check=True)
        subprocess.run(
            [nvcc, "-shared", "-Xcompiler=-fopenmp", "-Xlinker=--no-undefined", made, *objects, "-o", str(target)],
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"deepcg: the CUDA kernels were not built, and device='cuda' will not work for them: {error}")


class BuildKernelsInPlace(Command):
    """`python setup.py build_kernels`: compile into the checkout, for an editable installation."""

    user_options: ClassVar[list] = []

    def initialize_options(self):
        pass

    def finalize_options(self):
        pass

    def run(self):
        build_kernels(ROOT / "deepcg" / "libdeepcg.so")


class BuildWithKernels(build_py):
    def run(self):
        super().run()
        package = ROOT / "deepcg" if self.editable_mode else Path(self.build_lib) / "deepcg"
        package.mkdir(parents=True, exist_ok=True)
        build_kernels(package / "libdeepcg.so")


class PlatformDistribution(Distribution):
    """The wheel holds a shared library, so it is for this platform only."""

    def has_ext_modules(self):
        return True


setup(
    cmdclass={"build_py": BuildWithKernels, "build_kernels": BuildKernelsInPlace},
    distclass=PlatformDistribution,
)
