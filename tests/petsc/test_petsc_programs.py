"""Programs as users have them: PETSc's tutorials unchanged, our examples in C, Fortran and Python, with the plugin loaded by options."""

import re
import subprocess
import sys

import pytest

from tests.support.petsc_systems import ENVIRONMENT, PLUGIN, ROOT, mpiexec

LOAD = "-dll_append", str(PLUGIN)
EXAMPLES = ROOT / "integrations" / "petsc" / "examples"


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    subprocess.run(["make", "-s", "-C", str(EXAMPLES), f"OUT={folder}"], check=True, env=ENVIRONMENT)
    return folder


def iterations(output):
    return [int(n) for n in re.findall(r"CONVERGED_\w+ iterations (\d+)", output)]


TUTORIALS = {
    "ex45": ("-da_refine", "2"),  # 3-D, identity rows with one-sided couplings
    "ex50": ("-da_grid_x", "40", "-da_grid_y", "36"),  # 2-D, Neumann with a null space
    "ex34": ("-da_grid_x", "20", "-da_grid_y", "18", "-da_grid_z", "17"),  # 3-D, Neumann with a null space
}


@pytest.mark.parametrize("name", TUTORIALS)
@pytest.mark.parametrize("ksp_type", ["default", "cg", "deepcg"])
def test_tutorials(programs, name, ksp_type):
    if not (programs / name).exists():
        pytest.fail("PETSc's examples are not installed: make petsc installs them")
    chosen = () if ksp_type == "default" else ("-ksp_type", ksp_type)
    counts = []
    for ranks in (0, 2):
        output = mpiexec(ranks, programs / name, *LOAD, *TUTORIALS[name], "-pc_type", "deepcg", *chosen,
                         "-ksp_converged_reason", "-options_left", "-pc_deepcg_gather", "100", "-ksp_rtol", "1e-8")  # fmt: skip
        assert "There are no unused options" in output
        counts.append(iterations(output)[0])
    assert abs(counts[1] - counts[0]) <= 1 and counts[0] <= 14


def test_tutorials_residuals_are_small(programs):
    """ex45 prints the norm of b - A x."""
    output = mpiexec(
        0, programs / "ex45", *LOAD, "-pc_type", "deepcg", "-ksp_type", "cg", "-ksp_rtol", "1e-9", "-da_refine", "2"
    )
    assert float(re.search(r"Residual norm ([\d.e+-]+)", output)[1]) < 1e-8


@pytest.mark.parametrize("ranks", [0, 3])
@pytest.mark.parametrize("pc_type", ["deepcg", "gamg"])
def test_the_plume_in_c(programs, ranks, pc_type):
    """A body that moves: the same executable with either preconditioner; what divergence is left is evaluated anew."""
    output = mpiexec(ranks, programs / "plume", *LOAD, "-pc_type", pc_type, "-n", "16", "-steps", "4",
                     *(("-pc_deepcg_gather", "100") if pc_type == "deepcg" else ()))  # fmt: skip
    steps = re.findall(r"step +\d+: +(\d+) iterations \((\w+)\).*\(([\d.e+-]+)\)", output)
    assert len(steps) == 4
    for count, reason, left in steps:
        assert reason == "CONVERGED_RTOL" and float(left) <= 1.1e-6
        assert int(count) <= (8 if pc_type == "deepcg" else 20)


def test_the_plumes_options_and_log(programs):
    output = mpiexec(
        0, programs / "plume", *LOAD, "-pc_type", "deepcg", "-n", "16", "-ksp_type", "deepcg", "-log_view", "-help"
    )
    for part in (
        "-pc_deepcg_model",
        "-pc_deepcg_grid",
        "-pc_deepcg_fallback",
        "-pc_deepcg_backend",
        "-ksp_deepcg_window",
        "DeepcgRead",
        "DeepcgSetUp",
        "DeepcgCG",
    ):
        assert part in output


@pytest.mark.parametrize("ranks", [0, 4])
def test_the_fortran_program(programs, ranks):
    """The error is that of the discretisation: a quarter at twice the cells."""
    errors = []
    for n in ("32", "64"):
        output = mpiexec(
            ranks,
            programs / "poisson",
            *LOAD,
            "-pc_type",
            "deepcg",
            "-n",
            n,
            "-ksp_rtol",
            "1e-9",
            "-pc_deepcg_gather",
            "100",
        )
        count, error = re.search(r"iterations (\d+), residual .*, error +([\d.E+-]+)", output).groups()
        assert int(count) <= 10
        errors.append(float(error))
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.1)


@pytest.mark.parametrize("ranks", [0, 2])
def test_the_python_script(ranks):
    output = mpiexec(ranks, sys.executable, EXAMPLES / "porous.py", "-n", "12")
    count, residual = re.search(r"cg \+ deepcg: (\d+) iterations, relative residual ([\d.e+-]+)", output).groups()
    assert int(count) <= 12 and float(residual) <= 1e-7


def test_models_in_python_serve_a_c_program(programs):
    """The plugin starts the interpreter."""
    pytest.importorskip("torch")
    output = mpiexec(0, programs / "plume", *LOAD, "-pc_type", "deepcg", "-ksp_type", "deepcg", "-pc_deepcg_model", "dcdm", "-n", "12",
                     "-steps", "2", "-pc_deepcg_python", sys.executable)  # fmt: skip
    steps = re.findall(r"step +\d+: +(\d+) iterations \((\w+)\).*\(([\d.e+-]+)\)", output)
    assert [reason for _, reason, _ in steps] == ["CONVERGED_RTOL"] * 2
    assert all(float(left) <= 1.1e-6 for _, _, left in steps)


def test_an_interpreter_without_deepcg_is_told(programs):
    output = mpiexec(
        0,
        programs / "plume",
        *LOAD,
        "-pc_type",
        "deepcg",
        "-pc_deepcg_model",
        "dcdm",
        "-n",
        "8",
        "-pc_deepcg_python",
        "/bin/false",
        check=False,
    )
    assert "name one that can with -pc_deepcg_python" in output


def test_no_memory_is_left_behind(programs):
    """PETSc's ledger at the end, over steps that change the matrix."""
    for ranks in (0, 2):
        for ksp_type in ("deepcg", "cg"):
            output = mpiexec(ranks, programs / "plume", *LOAD, "-pc_type", "deepcg", "-ksp_type", ksp_type, "-n", "12", "-steps", "6",
                             "-malloc_debug", "-malloc_dump", "-pc_deepcg_gather", "100")  # fmt: skip
            assert not re.search(r"\[\d\] ?\d+ bytes|\[\d\].*Deepcg", output), output


def test_the_benchmark_measures_what_it_says(programs, monkeypatch):
    """`deepcg.Solver` on the system that PETSc wrote takes the plume's iterations; a tutorial's residual is the true one."""
    from benchmarks.studies import petsc as bench

    monkeypatch.setattr(bench, "PROGRAMS", programs)
    native, ours = bench.plume(14, 1, 1, "KSP deepcg + PC deepcg"), bench.solver(14, 1)
    assert native["converged"] and ours["converged"] and native["iterations"] == ours["iterations"]
    assert max(native["true_residual"], ours["true_residual"]) <= 1.1e-6
    for gamg in (
        name for name in bench.PLUME_SOLVERS if "GAMG" in name
    ):  # its prolongators of earlier steps break down here
        assert bench.plume(14, 3, 1, gamg)["converged"], gamg
    record = bench.tutorial("ex34", 12, bench.TINY["ex34"][12], 2, "CG + PC deepcg")
    assert record["converged"] and record["true_residual"] <= 1.1e-6 and record["solve_seconds"] > 0
    assert record["messages"]["DeepcgSetUp"][0] >= 0


@pytest.mark.parametrize(
    ("define", "text"),
    [("-DPETSC_USE_COMPLEX", "this PETSc is built for complex numbers"), ("-DNOTHING", None)],
)
def test_complex_builds_are_refused_when_compiling(define, text):
    flags = subprocess.run(
        ["pkg-config", "--cflags", "PETSc"], capture_output=True, text=True, check=True
    ).stdout.split()
    command = ["mpicc", "-fsyntax-only", "-w", *flags, f"-I{ROOT / 'kernels' / 'include'}", define, "-x", "c", "-"]
    run = subprocess.run(
        command,
        input=f'#include "{ROOT}/integrations/petsc/deepcg_petsc.h"\n',
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert (run.returncode == 0) == (text is None), run.stderr
    assert text is None or text in run.stderr
