"""Fixtures that several files share."""

import pytest

from deepcg.native import library as native
from deepcg.problem.from_matrix import reader


@pytest.fixture(scope="module", params=["kernels", "NumPy"])
def matrix_reading(request):
    """Reading a matrix with the kernels' quick pass, and where that leaves everything to the close look."""
    if request.param == "kernels" and native.unavailable is not None:
        pytest.skip(f"kernels not built: {native.unavailable}")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "NumPy":
            patch.setattr(reader, "read_quickly", lambda *_: None)
        yield request.param
