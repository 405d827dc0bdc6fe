"""Plots: a readable picture of each kind, bad input refused, nothing overwritten or half written."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from deepcg.scenes import gallery

pytest.importorskip("matplotlib")

from deepcg.io import plots

LOSSES = [1.0, 0.5, 0.4, 0.3]
VALIDATION = [
    {"step": 2, "size": 12, "box": 30.0, "sphere": 41.5},
    {"step": 4, "size": 12, "box": 20.0, "sphere": 25.0},
]


def draw(kind, path, **options):
    if kind == "convergence":
        return plots.convergence(path, {"one": [9.0, 0.3, 0.0], "other": [2.0, 1.0]}, **options)
    if kind == "loss_curve":
        return plots.loss_curve(path, LOSSES, VALIDATION, **options)
    if kind == "conduction":
        return plots.conduction(path, ROUGH, np.ones(ROUGH.problem.shape), 10.0**ROUGH.problem.cells, **options)
    scene = gallery.scene("plume", 13, 2)
    return plots.slices(path, scene, scene.rhs, **options)


ROUGH = gallery.scene("lognormal", 13, 2)
KINDS = ("convergence", "loss_curve", "slices", "conduction")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_formats(kind, suffix, start, tmp_path):
    path = draw(kind, tmp_path / "new" / f"p.{suffix}")
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("kind", KINDS)
def test_same_picture_is_the_same_file(kind, tmp_path):
    for suffix in ("png", "svg"):
        one, other = (draw(kind, tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
        assert one == other


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten_unasked(kind, tmp_path):
    path = tmp_path / "p.png"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        draw(kind, path)
    assert path.read_text() == "precious"
    draw(kind, path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_format_is_refused(kind, tmp_path):
    with pytest.raises(ValueError, match=r"p\.bmp.*\.png"):
        draw(kind, tmp_path / "p.bmp")


@pytest.mark.parametrize(("name", "dim"), [("bubble", 2), ("stretched", 2), ("dam_break", 3), ("porous", 3)])
def test_slices_of_scenes(name, dim, tmp_path):
    from matplotlib.image import imread

    scene = gallery.scene(name, 11, dim)
    picture = imread(plots.slices(tmp_path / "s.png", scene, np.where(scene.problem.grid.fluid, 1.0, 0.0)))
    assert picture.shape[1] > picture.shape[0] > 200
    assert picture[..., :3].std() > 0.05


@pytest.mark.parametrize(
    ("name", "dim"), [("fractures", 2), ("cutcells", 2), ("inclusions", 3), ("cutcells", 3), ("box", 2)]
)
def test_slices_of_conduction(name, dim, tmp_path):
    from matplotlib.image import imread

    scene = gallery.scene(name, 11, dim)
    flux = np.zeros(scene.problem.shape) if name == "box" else np.abs(np.sin(np.arange(11**dim))).reshape((11,) * dim)
    picture = imread(plots.conduction(tmp_path / "s.png", scene, scene.rhs, flux))
    assert picture.shape[1] > picture.shape[0] > 200
    assert picture[..., :3].std() > 0.05


def test_the_coefficient_of_cut_cells_is_the_mean_over_their_faces():
    scene = gallery.scene("cutcells", 11, 3)
    faces = scene.problem.source["coefficient"]
    at = (4, 5, 6)
    expected = np.mean([f[at[:a] + (at[a] + side,) + at[a + 1 :]] for a, f in enumerate(faces) for side in (0, 1)])
    assert plots._cell_coefficient(scene.problem)[at] == pytest.approx(expected)


def test_slices_of_nothing_but_zero(tmp_path):
    scene = gallery.scene("box", 9, 2)
    flat = gallery.Scene(scene.name, scene.description, scene.problem, 0 * scene.rhs, scene.velocity)
    assert plots.slices(tmp_path / "s.png", flat, flat.rhs).exists()


@pytest.mark.parametrize("bad", [[], [[1.0]], [1.0, np.nan], [-1.0]])
def test_bad_curves_are_refused(bad, tmp_path):
    with pytest.raises(ValueError, match="losses"):
        plots.loss_curve(tmp_path / "p.png", bad)
    with pytest.raises(ValueError, match=r"histories\['a'\]"):
        plots.convergence(tmp_path / "p.png", {"a": bad})
    assert not list(tmp_path.iterdir())


def test_bad_fields_are_refused(tmp_path):
    scene = gallery.scene("box", 9, 2)
    with pytest.raises(ValueError, match=r"x: shape \(3,\)"):
        plots.slices(tmp_path / "p.png", scene, np.ones(3))
    with pytest.raises(ValueError, match=r"flux: shape \(3,\)"):
        plots.conduction(tmp_path / "p.png", scene, scene.rhs, np.ones(3))
    with pytest.raises(ValueError, match="histories: empty"):
        plots.convergence(tmp_path / "p.png", {})
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_left_as_it_was(tmp_path):
    import matplotlib

    before, had_pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    draw("convergence", tmp_path / "p.png")
    assert dict(matplotlib.rcParams) == before
    assert had_pyplot or "matplotlib.pyplot" not in sys.modules
