"""MatrixMarket files: read as the numbers that they hold, or refused with the line that is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from deepcg import Poisson
from deepcg.io.matrix_market import read_market

A = Poisson(np.zeros((3, 4), np.uint8), coefficient=np.arange(1.0, 13).reshape(3, 4), boundary="open").matrix()
BANNER = "%%MatrixMarket matrix coordinate real general"


def lines(matrix=A, base=1, form="{:.17g}"):
    coo = sp.coo_array(matrix)
    return [f"{r + base} {c + base} {form.format(v)}" for r, c, v in zip(*coo.coords, coo.data, strict=True)]


def text(*heads, entries=None, size="12 12 46"):
    return "\n".join([*heads, *([size] if size else []), *(lines() if entries is None else entries)]) + "\n"


@pytest.fixture
def write(tmp_path):
    def writing(content, name="A.mtx"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return writing


@pytest.mark.parametrize(
    "content",
    [
        text(BANNER),
        text(BANNER, "% a comment", "%", "", "% another"),
        text(BANNER.replace("%%", "%")),
        text(BANNER).replace("\n", "\r\n"),
        text(BANNER, entries=[line.replace("e", "E") for line in lines(form="{:.17e}")]),
        text(BANNER, entries=[line.replace("e", "D") for line in lines(form="{:.17e}")]),
        text(BANNER, entries=[line.replace("e", "d") for line in lines(form="{:.17e}")]),
        text(BANNER.replace("general", "symmetric"), entries=lines(sp.tril(A)), size="12 12 29"),
        text(BANNER.replace("general", "symmetric"), entries=lines(sp.triu(A)), size="12 12 29"),
    ],
)
def test_the_numbers_in_the_file_are_read(content, write):
    found = sp.csr_array(read_market(write(content)))
    assert (found != sp.csr_array(A)).nnz == 0


def test_fortran_exponents_of_a_vector(write):
    path = write("%%MatrixMarket matrix array real general\n3 1\n4.0D+02\n1.5d-1\n-.5D0\n")
    np.testing.assert_array_equal(read_market(path), [[400.0], [0.15], [-0.5]])


def test_many_entries_and_one_odd_number(write):
    """Beyond the pieces in which a file is looked through."""
    n = 60_000
    big = lines(sp.diags_array(np.linspace(1, 2, n)))
    path = write(text(BANNER, entries=big, size=f"{n} {n} {n}"))
    np.testing.assert_array_equal(read_market(path).diagonal(), np.linspace(1, 2, n))
    big[-2] = big[-2][:-3] + "D+3"
    found = read_market(write(text(BANNER, entries=big, size=f"{n} {n} {n}"))).diagonal()
    assert found[-2] == float(big[-2].split()[2].replace("D", "e")) > 1000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", r"A\.mtx: empty; .*begins with '%%MatrixMarket matrix coordinate real general'"),
        (text(), r"no banner: its first line is '12 12 46', .*put them before it"),
        (text(size=None), r"no banner: its first line is '1 1 "),
        (b"\xef\xbb\xbf" + text(BANNER).encode(), "begins with a byte order mark"),
        (text(BANNER, entries=lines(base=0)), r"line 3 is '0 0 .*': its indices count from 0, .*add 1 to every row"),
        (text(BANNER, "% x", entries=lines(base=0)), r"line 4 is '0 0 .*': its indices count from 0"),
        (text(BANNER, size="11 11 46"), r"line \d+ is '8 12 .*' \(Column index out of bounds\)"),
        (text(BANNER, entries=lines()[:-1]), "truncated"),
        (text(BANNER)[:-30], "truncated"),
        (text(BANNER, entries=[*lines()[:-1], "12 12 4.5abc"]), r"line 48 is '12 12 4\.5abc' \(Not numbers"),
        (text(BANNER, entries=[line.replace(" ", ",") for line in lines()]), r"line 3 is '1,1,"),
        (text(BANNER.replace("real", "pattern")), "holds the pattern of a matrix without values"),
        (
            text(BANNER.replace("general", "symmetric")),
            "says 'symmetric', and has row 1, column 2 twice, or on both sides of the diagonal",
        ),
        ("PK\x03\x04 nothing of the kind", "no banner"),
    ],
)
def test_what_is_wrong_is_said(content, says, write):
    with pytest.raises(ValueError, match=says):
        read_market(write(content))


def test_what_scipy_writes(tmp_path):
    for symmetry in ("general", "symmetric"):
        scipy.io.mmwrite(tmp_path / "A.mtx", A, symmetry=symmetry, precision=17)
        assert (sp.csr_array(read_market(tmp_path / "A.mtx")) != sp.csr_array(A)).nnz == 0
    with pytest.raises(FileNotFoundError):
        read_market(tmp_path / "gone.mtx")
