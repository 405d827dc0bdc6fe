"""Pictures for reports: convergence, loss curves, slices through a problem.

Matplotlib draws them without a display and without its global state. Every file is written whole or not at all.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..problem.grid import FLUID, OPEN, SOLID
from .files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0b6e99", "#d1495b", "#edae49", "#3a7d44", "#7b5ea7", "#8d6a4f", "#444444", "#66a5ad")
OBSTACLE, WATER, AIR = "#4a4a4a", "#cfe3ee", "#ffffff"
STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "deepcg",  # the same picture is the same file
}


def convergence(
    path: str | os.PathLike, histories: Mapping[str, ArrayLike], *, title: str = "", overwrite: bool = False
) -> Path:
    """Relative residuals against iterations, on a logarithmic axis.

    Parameters
    ----------
    path : path ending in .png, .svg or .pdf
    histories : dict from labels to lists of residual norms
        Each from the initial one on, such as `info.residuals`; each is divided by its first.
    title : str
    overwrite : bool
        Whether a file that is there already may be replaced. It is replaced whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        `path` is there and `overwrite` is False.
    ValueError
        An argument that is not as above.
    """
    if not histories:
        raise ValueError("histories: empty; at least one label with its residuals is needed")
    curves = {label: _check_curve(f"histories[{label!r}]", residuals) for label, residuals in histories.items()}
    with _drawing(path, (6.0, 3.8), overwrite) as sheet:
        axes = sheet.figure.add_subplot()
        for (label, residuals), colour in zip(curves.items(), _cycle(len(curves)), strict=True):
            relative = residuals / residuals[0] if residuals[0] > 0 else residuals
            # a logarithmic axis has no place for an exact zero
            axes.semilogy(np.where(relative > 0, relative, np.nan), color=colour, linewidth=1.8, label=label)
        axes.set(xlabel="iteration", ylabel="relative residual", title=title)
        axes.set_xlim(left=0)
        axes.legend()
    return sheet.path


def loss_curve(
    path: str | os.PathLike,
    losses: ArrayLike,
    validation: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "",
    overwrite: bool = False,
) -> Path:
    """The loss of every training step, its running mean, and the iterations counted in validation.

    Parameters
    ----------
    path : path ending in .png, .svg or .pdf
    losses : one float per step
    validation : list of dicts with "step" and figures such as "box" and "sphere"
        As in `deepcg.training.loop.History`.
    title, overwrite : see `convergence`

    Returns
    -------
    Path
    """
    values = _check_curve("losses", losses)
    with _drawing(path, (6.4, 3.8), overwrite) as sheet:
        axes = sheet.figure.add_subplot()
        steps = np.arange(1, values.size + 1)
        axes.semilogy(steps, values, color=COLOURS[0], alpha=0.25, linewidth=0.6)
        width = max(1, values.size // 100)
        mean = np.convolve(values, np.full(width, 1.0 / width), mode="valid")
        axes.semilogy(steps[width - 1 :], mean, color=COLOURS[0], linewidth=1.8, label="loss")
        axes.set(xlabel="training step", ylabel="residual left after one step", title=title)
        handles, labels = axes.get_legend_handles_labels()
        names = [key for key in (validation[0] if validation else {}) if key not in ("step", "size")]
        if names:
            right = axes.twinx()
            right.grid(False)
            right.spines["right"].set_visible(True)
            for name, colour, marker in zip(names, _cycle(len(names), 1), "os^Dv" * len(names), strict=False):
                at, figures = [v["step"] for v in validation], [v[name] for v in validation]
                right.plot(
                    at, figures, color=colour, marker=marker, markersize=4, linewidth=1.2, label=f"iterations, {name}"
                )
            right.set_ylabel("iterations to 1e-4")
            right.set_ylim(bottom=0)
            more, texts = right.get_legend_handles_labels()
            handles, labels = handles + more, labels + texts
        axes.legend(handles, labels)
    return sheet.path


def slices(path: str | os.PathLike, scene: Any, x: ArrayLike, *, overwrite: bool = False) -> Path:
    """Slices through the middle of a scene: its cells, the right-hand side and the solution, obstacles drawn in.

    Parameters
    ----------
    path : path ending in .png, .svg or .pdf
    scene : deepcg.scenes.gallery.Scene, or whatever has `name`, `problem` and `rhs`
        In 3-D the slice is the vertical one across axis 1.
    x : array of the cells' shape
        The solution.
    overwrite : see `convergence`

    Returns
    -------
    Path
    """
    problem = scene.problem
    fields = {name: _slice(name, problem, values) for name, values in (("rhs", scene.rhs), ("x", x))}
    cells = _middle(problem.cells)
    height, width, inches = _sides(problem, 3)
    with _drawing(path, inches, overwrite) as sheet:
        from matplotlib.colors import ListedColormap

        panels = sheet.figure.subplots(1, 3)
        kinds = ListedColormap([WATER, OBSTACLE, AIR])
        panels[0].pcolormesh(width, height, cells, cmap=kinds, vmin=FLUID, vmax=OPEN, rasterized=True)
        _finish_panel(panels[0], _titled(scene))
        for axes, name, title, colours in (
            (panels[1], "rhs", "right-hand side $b$", "RdBu_r"),
            (panels[2], "x", "solution $x$", "viridis"),
        ):
            field = np.ma.masked_where(cells != FLUID, fields[name])
            limits = {}
            if name == "rhs":  # symmetric about zero; the few largest sources do not drown the rest
                top = float(np.percentile(np.abs(field.compressed()), 99.5)) if field.count() else 1.0
                limits = {"vmin": -(top or 1.0), "vmax": top or 1.0}
            image = axes.pcolormesh(width, height, field, cmap=colours, rasterized=True, **limits)
            solid = np.ma.masked_where(cells != SOLID, np.ones(cells.shape))
            axes.pcolormesh(width, height, solid, cmap=ListedColormap([OBSTACLE]), rasterized=True)
            _finish_panel(axes, title)
            _colour_bar(sheet.figure, image, axes)
    return sheet.path


def conduction(
    path: str | os.PathLike, scene: Any, pressure: ArrayLike, flux: ArrayLike, *, overwrite: bool = False
) -> Path:
    """Slices through the middle of a scene that a pressure drop drives: its coefficient, the pressure, the flux.

    Parameters
    ----------
    path : path ending in .png, .svg or .pdf
    scene : deepcg.scenes.gallery.Scene, or whatever has `name` and `problem`
        In 3-D the slice is the vertical one across axis 1. A coefficient on faces is drawn as the mean over each cell's.
    pressure, flux : array of the cells' shape
        The solution, and the length of the flux in each cell.
    overwrite : see `convergence`

    Returns
    -------
    Path
    """
    problem = scene.problem
    fields = {name: _slice(name, problem, values) for name, values in (("pressure", pressure), ("flux", flux))}
    fluid = _middle(problem.cells) == FLUID
    height, width, inches = _sides(problem, 3)
    with _drawing(path, inches, overwrite) as sheet:
        from matplotlib.colors import LogNorm

        shown = (
            (
                _titled(scene, "coefficient of "),
                _slice("coefficient", problem, _cell_coefficient(problem)),
                "magma",
                True,
            ),
            ("pressure", fields["pressure"], "viridis", False),
            ("flux", fields["flux"], "magma", True),
        )
        for axes, (title, values, colours, logarithmic) in zip(sheet.figure.subplots(1, 3), shown, strict=True):
            field = np.ma.masked_where(~fluid | (values <= 0) if logarithmic else ~fluid, values)
            norm = None
            if (
                logarithmic and field.count()
            ):  # stagnant corners and the few largest fluxes do not take the colours of the rest
                low, high = np.percentile(field.compressed(), (0.5, 99.5))
                norm = LogNorm(low, max(high, 1.001 * low), clip=True)
            axes.set_facecolor(OBSTACLE)
            image = axes.pcolormesh(width, height, field, cmap=colours, norm=norm, rasterized=True)
            _finish_panel(axes, title)
            _colour_bar(sheet.figure, image, axes)
    return sheet.path


def _cell_coefficient(problem: Any) -> NDArray[np.float64]:
    """The coefficient of a problem made from cells: as given per cell, or the mean over the faces of each cell."""
    beta = problem.source["coefficient"]
    if beta is None:
        return np.ones(problem.shape)
    if not isinstance(beta, (list, tuple)):
        return np.asarray(beta, dtype=np.float64)
    sides = [np.moveaxis(face, axis, 0) for axis, face in enumerate(beta)]
    return np.mean([np.moveaxis(0.5 * (s[:-1] + s[1:]), 0, axis) for axis, s in enumerate(sides)], axis=0)


def _slice(name: str, problem: Any, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != problem.shape:
        raise ValueError(f"{name}: shape {array.shape} given; the cells' {problem.shape} is needed")
    return _middle(array)


def _sides(problem: Any, panels: int) -> tuple[NDArray, NDArray, tuple[float, float]]:
    """The edges of a slice's cells along its height and its width, and the inches of a sheet with so many of it side by side."""
    height, width = (np.concatenate([[0.0], np.cumsum(problem.grid.widths[axis])]) for axis in (0, -1))
    aspect = width[-1] / height[-1]
    tall = 3.4 / max(1.0, aspect / 1.5)
    return height, width, (panels * tall * aspect + 2.4, tall + 0.6)


def _titled(scene: Any, before: str = "") -> str:
    return f"{before}{scene.name}, {' x '.join(map(str, scene.problem.shape[::-1]))}"


def _colour_bar(figure: Figure, image: Any, axes: Axes) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8)


def _finish_panel(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_aspect("equal")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#9a9a9a", linewidth=0.8)


def _middle(array: NDArray) -> NDArray:
    return array if array.ndim == 2 else array[:, array.shape[1] // 2]


def _cycle(count: int, start: int = 0) -> list[str]:
    return [COLOURS[(start + i) % len(COLOURS)] for i in range(count)]


def _check_curve(name: str, values: ArrayLike) -> NDArray[np.float64]:
    curve = np.asarray(values, dtype=np.float64)
    if curve.ndim != 1 or curve.size == 0 or not np.isfinite(curve).all() or (curve < 0).any():
        raise ValueError(f"{name}: shape {curve.shape} given; a list of at least one finite number >= 0 is needed")
    return curve


class _drawing:
    """A figure to draw on, written to `path` whole when the block ends without an error."""

    def __init__(self, path: str | os.PathLike, inches: tuple[float, float], overwrite: bool):
        self._path, self._inches, self._overwrite = Path(path), inches, overwrite
        if self._path.suffix.lower() not in FORMATS:
            raise ValueError(f"path: {str(path)!r} given; a file name that ends in {', '.join(FORMATS)} is needed")
        if self._path.exists() and not overwrite:
            raise FileExistsError(f"{path}: exists; nothing is overwritten unasked (overwrite=True or --force)")

    def __enter__(self) -> SimpleNamespace:
        try:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError("plots need matplotlib: pip install 'deepcg[cli]'") from error
        self._style = matplotlib.rc_context(STYLE)
        self._style.__enter__()
        self._figure: Figure = Figure(figsize=self._inches, layout="constrained")
        FigureCanvasAgg(self._figure)
        return SimpleNamespace(figure=self._figure, path=self._path)

    def __exit__(self, kind, *details) -> None:
        try:
            if kind is None:
                content, suffix = io.BytesIO(), self._path.suffix.lower()[1:]
                undated = {} if suffix == "png" else {"Date" if suffix == "svg" else "CreationDate": None}
                self._figure.savefig(content, format=suffix, dpi=160, metadata=undated)
                write_atomically(self._path, content.getvalue(), self._overwrite)
        finally:
            self._style.__exit__(None, None, None)
