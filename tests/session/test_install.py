"""`make install`, and a program in C against what it installs."""

import os
import shutil
import subprocess

import pytest

import deepcg
from deepcg.native import library as native

ROOT = native.LIBRARY.parent.parent
EXAMPLE = ROOT / "integrations" / "c" / "poisson.c"
STRICT = ["-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror"]

pytestmark = [
    pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built"),
    pytest.mark.skipif(
        any(shutil.which(t) is None for t in ("make", "gcc", "pkg-config")),
        reason="make, gcc and pkg-config are needed",
    ),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Installed for /opt/deepcg by way of DESTDIR, then moved elsewhere."""
    folder = tmp_path_factory.mktemp("install")
    built = native.LIBRARY.parent  # the library is built already: nothing is compiled here
    subprocess.run(
        ["make", "-s", "-C", ROOT / "kernels", "install", "PREFIX=/opt/deepcg", f"DESTDIR={folder}/stage", f"OUT={built}", "-o", built / "libdeepcg.so"],
        check=True,
    )  # fmt: skip
    (folder / "stage" / "opt" / "deepcg").rename(folder / "moved")
    return folder / "moved"


def pkg_config(prefix, *arguments):
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    return subprocess.run(
        ["pkg-config", *arguments, "deepcg"], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()


def run(prefix, program, *arguments):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")}
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, timeout=60)


def test_what_is_installed(installed):
    files = {str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file()}
    models = {f"share/deepcg/models/{p.name}" for p in (ROOT / "deepcg" / "models").glob("*.safetensors")}
    assert files == {"include/deepcg.h", "lib/libdeepcg.so", "lib/pkgconfig/deepcg.pc"} | models
    assert pkg_config(installed, "--modversion") == [deepcg.__version__]


@pytest.mark.parametrize("index", ["int32_t", "int64_t"])
def test_the_example_solves_its_own_system(installed, tmp_path, index):
    flags = pkg_config(installed, "--cflags", "--libs")
    subprocess.run(["gcc", *STRICT, f"-DINDEX={index}", EXAMPLE, *flags, "-lm", "-o", tmp_path / "poisson"], check=True)
    process = run(installed, tmp_path / "poisson", "24")
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("converged: ") and int(process.stdout.split()[1]) <= 8
    assert float(process.stdout.rsplit("= ", 1)[1]) <= 1e-8


def test_errors_reach_the_program(installed, tmp_path):
    program = tmp_path / "wrong.c"
    program.write_text(
        "#include <deepcg.h>\n#include <stdio.h>\nint main(void) { dcg_solver *s; dcg_solver_create(&s);\n"
        'int code = dcg_solver_set_option(s, "rtol", "tiny"); printf("%d %s\\n", code, dcg_last_error()); dcg_solver_destroy(s); return 0; }\n'
    )
    flags = pkg_config(installed, "--cflags", "--libs")
    subprocess.run(["gcc", *STRICT, program, *flags, "-o", tmp_path / "wrong"], check=True)
    assert run(installed, tmp_path / "wrong").stdout == '1 rtol: "tiny" given; a finite number >= 0 is needed\n'
