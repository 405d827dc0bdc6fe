"""A program in whose locale numbers have a comma."""

import os
import shutil
import subprocess
import sys

import pytest

from deepcg.native import library as native

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

PROGRAM = """
import locale
import numpy as np
import deepcg
from tests.support.session import Session

locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","
A = deepcg.Poisson(np.zeros((6, 7, 8), np.uint8), boundary="open").matrix()
for model in ("auto", "multigrid"):
    _, result = Session(model=model, rtol=0.25).grid(6, 7, 8).matrix(A).solve(np.ones(336))
    assert result.reason == 0 and result.iterations <= 2, result.iterations
"""


def test_options_and_models_are_read_in_any_locale(tmp_path):
    name = tmp_path / "de_DE.UTF-8"
    if shutil.which("localedef"):
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", name], capture_output=True)
    if not name.exists():
        pytest.skip("the system has no locale with a comma to compile")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "LOCPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
