"""Common to the commands' options: kinds of values, and the refusal of a target before any work."""

from __future__ import annotations

from pathlib import Path

import click

from ..io.files import check_writable


class Numbers(click.ParamType):
    """Integers with commas between them."""

    def __init__(self, name: str, counts: tuple[int, ...], example: str):
        self.name, self._counts, self._example = name, counts, example

    def convert(self, value, param, ctx) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in self._counts or min(numbers) < 1:
            self.fail(f"{value!r} given; {self.name} such as {self._example} is needed", param, ctx)
        return numbers


FILE = click.Path(dir_okay=False, path_type=Path)
DEVICE = click.Choice(["auto", "cpu", "cuda"])


def check_target(option: str, path: Path | None, suffix: str, force: bool) -> None:
    """Refuse a file that could not be written, before any work."""
    if path is None:
        return
    if path.suffix != suffix:
        raise ValueError(f"{option}: {str(path)!r} given; a file name that ends in {suffix} is needed")
    if path.exists() and not force:
        raise FileExistsError(f"{option}: {path} exists; nothing is overwritten unasked (--force replaces it)")
    try:
        check_writable(path)
    except OSError as error:
        raise type(error)(f"{option}: {error}") from None
