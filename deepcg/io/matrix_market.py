"""MatrixMarket files (.mtx), read by SciPy; what SciPy would read as other numbers, or refuse without saying why, is met here.

The format: Boisvert, Pozo and Remington, "The Matrix Market Exchange Formats", NISTIR 5935, 1996.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp
from numpy.typing import NDArray

BANNERS = b"%%MatrixMarket", b"%MatrixMarket"  # SciPy takes the latter too
EXAMPLE = "%%MatrixMarket matrix coordinate real general"
NUMBERS = b"0123456789+-.eE \t\r\n"
CHUNK = 1 << 20


def read_market(path: str | os.PathLike) -> sp.coo_matrix | NDArray:
    """The sparse matrix or the dense array in a MatrixMarket file. Exponents may be Fortran's, as in 1.5D+02.

    Raises
    ------
    FileNotFoundError
    ValueError
        The message names the file, what is wrong with it, where a line is to blame that line, and what would be right.
    """
    path = Path(path)
    _check_banner(path)
    try:
        found = scipy.io.mmread(_as_numbers(path))
        kind, field, symmetry = scipy.io.mminfo(path)[3:]
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: {_explain(path, str(error))}") from error
    if field == "pattern":
        raise ValueError(f"{path}: holds the pattern of a matrix without values; field 'real' is needed")
    if kind == "coordinate" and symmetry == "symmetric":
        _check_one_side(path, found)
    return found


def _check_banner(path: Path) -> None:
    with path.open("rb") as file:
        first = file.readline(200)
    if first.startswith(BANNERS):
        return
    if not first:
        raise ValueError(f"{path}: empty; a MatrixMarket file begins with {EXAMPLE!r}")
    if first.startswith(b"\xef\xbb\xbf"):
        raise ValueError(
            f"{path}: begins with a byte order mark; save it as plain text, so that {EXAMPLE!r} comes first"
        )
    raise ValueError(
        f"{path}: no banner: its first line is {_quote(first)}, where a MatrixMarket file has {EXAMPLE!r} ('symmetric' if "
        "one triangle is listed), followed by a line ROWS COLUMNS ENTRIES; put them before it"
    )


def _as_numbers(path: Path) -> Path | io.BytesIO:
    """The file, with Fortran's exponents written as C's. SciPy stops reading a number where it does not understand it, without a word."""
    foreign = b""
    with path.open("rb") as file:
        line = b"%"
        while line.startswith(b"%") or (line and not line.strip()):
            line = file.readline()
        while chunk := line + file.read(CHUNK):
            foreign += chunk.translate(None, NUMBERS)
            line = b""
    if not foreign:
        return path
    header, end, body = path.read_bytes().partition(b"\n")
    body = re.sub(rb"(?<=[0-9.])[dD](?=[-+0-9])", b"e", body)
    if foreign.translate(None, b"dD") or body.translate(None, NUMBERS):
        for number, text in enumerate(body.splitlines(), 2):
            if not text.startswith(b"%") and not all(_is_number(word) for word in text.split()):
                raise ValueError(f"Line {number}: Not numbers.")
    return io.BytesIO(header + end + body)


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _explain(path: Path, error: str) -> str:
    """What SciPy says, with the line that it names; in words of one's own where indices count from 0."""
    named = re.match(r"Line (\d+): (.*)", error, re.DOTALL)
    if not named:
        return f"truncated, or no matrix ({error}); write it by scipy.io.mmwrite"
    with path.open("rb") as file:
        text = next((line for number, line in enumerate(file, 1) if number == int(named[1])), b"")
    if "out of bounds" in error and b"0" in text.split()[:2]:
        return f"line {named[1]} is {_quote(text)}: its indices count from 0, and those of a MatrixMarket file from 1; add 1 to every row and column"
    return f"truncated, or no matrix: line {named[1]} is {_quote(text)} ({named[2]}); write it by scipy.io.mmwrite"


def _check_one_side(path: Path, A: sp.coo_matrix) -> None:
    """Of a symmetric matrix each coupling is listed once; SciPy adds what is listed on both sides of the diagonal to twice the matrix."""
    merged = sp.csr_array(A)  # sums what is there twice
    if merged.nnz == A.nnz:
        return
    order = np.lexsort((A.col, A.row))
    at = order[np.flatnonzero((np.diff(A.row[order]) == 0) & (np.diff(A.col[order]) == 0))[0]]
    raise ValueError(
        f"{path}: says 'symmetric', and has row {A.row[at] + 1}, column {A.col[at] + 1} twice, or on both sides of the diagonal; "
        "list one triangle, or say 'general'"
    )


def _quote(line: bytes) -> str:
    text = line.decode("ascii", "replace").rstrip("\r\n")
    return repr(text if len(text) <= 60 else text[:57] + "...")
