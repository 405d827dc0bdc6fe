"""Files that are written whole or not at all: beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """A path beside `path`, of the same name, that becomes `path` where the block ends without an error. Folders that are missing are made.

    Raises
    ------
    FileExistsError
        `path` is there and `overwrite` is False.
    OSError
        It could not be written; what was there before is as it was. The error names `path`.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists; nothing is overwritten unasked (overwrite=True or --force)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            beside = Path(folder) / path.name
            yield beside
            os.replace(beside, path)
    except OSError as error:
        if error.errno is not None:
            error.filename = os.fspath(path)
        raise


def write_atomically(path: str | os.PathLike, content: bytes, overwrite: bool = False) -> Path:
    """Write these bytes as `replacing` says; returns the path."""
    with replacing(path, overwrite) as beside:
        beside.write_bytes(content)
    return Path(path)


def check_writable(path: str | os.PathLike) -> None:
    """Refuse a path whose folder, or the nearest one above it that is there, takes no files.

    Raises
    ------
    NotADirectoryError, PermissionError
    """
    path = Path(path)
    folder = next(above for above in path.absolute().parents if above.exists())
    if not folder.is_dir():
        raise NotADirectoryError(f"{path}: {folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{path}: nothing can be written into {folder}")
