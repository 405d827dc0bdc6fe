"""Meshes in every format, good and bad, onto the grid; VTK files read back byte by byte."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import resources

import numpy as np
import pytest
from scipy import ndimage

from deepcg import FLUID, OPEN, SOLID, Poisson

meshio = pytest.importorskip("meshio")
igl = pytest.importorskip("igl")
pytest.importorskip("pyevtk")

from deepcg.io.mesh import MeshError, read_surface, voxelize, voxelize_surface, write_vtk  # noqa: E402

BUNNY = resources.files("deepcg.data") / "bunny.stl"
SURFACE_FORMATS = ["stl", "obj", "ply", "vtk", "vtu", "msh", "off"]
VOLUME_FORMATS = ["vtk", "vtu", "msh"]


# ---- meshes --------------------------------------------------------------------------------------------------------


def cube_surface():
    """[0, 1]^3 as six quadrilaterals with outward normals."""
    corners = np.array([[x, y, z] for z in (0.0, 1.0) for y in (0.0, 1.0) for x in (0.0, 1.0)])
    quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return corners, np.array(quads)


def sphere(subdivisions=3):
    """The unit icosphere."""
    golden = (1.0 + 5.0**0.5) / 2.0
    signs = [(a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    points = np.array([p for a, b in signs for p in ((0.0, a, b * golden), (a, b * golden, 0.0), (b * golden, 0.0, a))])
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = abs(distance - 2.0) < 1e-9
    triangles = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]
    ]
    faces = np.array([t if np.linalg.det(points[list(t)]) > 0 else t[::-1] for t in triangles])
    points /= np.linalg.norm(points, axis=1)[:, None]
    for _ in range(subdivisions):
        a, b, c = (points[faces[:, i]] for i in range(3))
        n, m = len(points), len(faces)
        ab, bc, ca = (np.arange(m) + n + i * m for i in range(3))
        middle = np.concatenate([a + b, b + c, c + a])
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1)[:, None]])
        i, j, k = faces.T
        faces = np.concatenate([np.stack(t, 1) for t in ((i, ab, ca), (ab, j, bc), (ca, bc, k), (ab, bc, ca))])
        points, index = np.unique(points.round(12), axis=0, return_inverse=True)
        faces = index.reshape(-1)[faces]
    return points, faces


def torus(major=1.0, minor=0.35, n=48, m=24):
    """A torus around the z axis."""
    u, v = (2.0 * np.pi * g / s for g, s in zip(np.mgrid[:n, :m], (n, m), strict=True))
    radius = major + minor * np.cos(v)
    points = np.stack([radius * np.cos(u), radius * np.sin(u), minor * np.sin(v)], axis=-1).reshape(-1, 3)
    index = np.arange(n * m).reshape(n, m)
    right, up = np.roll(index, -1, 0), np.roll(index, -1, 1)
    quads = np.stack([index, right, np.roll(right, -1, 1), up], axis=-1).reshape(-1, 4)
    return points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def hexahedra(n=3):
    """[0, 1]^3 as n^3 hexahedra."""
    points = np.stack(np.mgrid[: n + 1, : n + 1, : n + 1], axis=-1).reshape(-1, 3) / n
    index = np.arange((n + 1) ** 3).reshape((n + 1,) * 3)
    corner = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    cells = [index[a : a + n, b : b + n, c : c + n].ravel() for a, b, c in corner]
    return points, np.stack(cells, axis=1)


def solid_cube(kind):
    """The unit cube as linear volume elements of one kind."""
    points, cells = hexahedra()
    parts = {
        "hexahedron": [range(8)],
        "wedge": [(0, 1, 2, 4, 5, 6), (0, 2, 3, 4, 6, 7)],
        "tetra": [(0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)],
        "pyramid": [
            (0, 3, 2, 1, 8),
            (4, 5, 6, 7, 8),
            (0, 1, 5, 4, 8),
            (1, 2, 6, 5, 8),
            (2, 3, 7, 6, 8),
            (3, 0, 4, 7, 8),
        ],
    }[kind]
    centres = points[cells].mean(axis=1)
    cells = np.column_stack([cells, len(points) + np.arange(len(cells))])
    return np.concatenate([points, centres]), np.concatenate([cells[:, list(part)] for part in parts])


def save(path, points, blocks):
    blocks = blocks if isinstance(blocks, list) else [("triangle", blocks)]
    meshio.write(path, meshio.Mesh(np.asarray(points), blocks), **({"binary": True} if path.suffix == ".stl" else {}))
    return path


def enclosed(vertices, triangles):
    """Volume, positive where the normals point out."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0


# ---- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SURFACE_FORMATS)
def test_a_sphere_in_every_format(tmp_path, suffix):
    points, faces = sphere()
    path = save(tmp_path / f"sphere.{suffix}", points, faces)
    vertices, triangles = read_surface(path)
    assert vertices.shape == points.shape and triangles.shape == faces.shape
    assert vertices.dtype == np.float64 and triangles.dtype == np.int64
    assert enclosed(vertices, triangles) == pytest.approx(enclosed(points, faces), rel=1e-5)
    n = 40
    cells = voxelize(path, (n, n, n), margin=0.1)
    assert cells.dtype == np.uint8 and set(np.unique(cells)) == {FLUID, SOLID}
    assert (cells == SOLID).sum() == pytest.approx(4 / 3 * np.pi * (0.4 * n) ** 3, rel=0.015)


def test_seams_of_stl_are_merged_and_quads_split(tmp_path):
    corners, quads = cube_surface()
    soup = save(tmp_path / "soup.vtk", corners[quads].reshape(-1, 3), [("quad", np.arange(24).reshape(6, 4))])
    vertices, triangles = read_surface(soup)
    assert (len(vertices), len(triangles)) == (8, 12)
    assert enclosed(vertices, triangles) == pytest.approx(1.0)


def test_polygons_of_obj(tmp_path):
    angle = 2.0 * np.pi * np.arange(6) / 6
    ring = [(np.cos(a), np.sin(a)) for a in angle]
    lines = [f"v {x} {y} {z}" for z in (0, 1) for x, y in ring]
    lines += ["f 6 5 4 3 2 1", "f 7/1/1 8/2/1 9/3/1 10 11 12"]
    lines += [f"f {i + 1} {(i + 1) % 6 + 1} {(i + 1) % 6 + 7} {i + 7}" for i in range(6)]
    path = tmp_path / "prism.obj"
    path.write_text("\n".join(lines))
    assert enclosed(*read_surface(path)) == pytest.approx(1.5 * 3.0**0.5)


@pytest.mark.parametrize("suffix", VOLUME_FORMATS)
@pytest.mark.parametrize("kind", ["tetra", "hexahedron", "wedge", "pyramid"])
def test_a_volume_mesh_is_reduced_to_its_boundary(tmp_path, suffix, kind):
    points, cells = solid_cube(kind)
    cells = np.concatenate([cells[1::2], cells[::2]])
    path = save(tmp_path / f"cube.{suffix}", points, [(kind, cells)])
    vertices, triangles = read_surface(path)
    assert len(triangles) == 6 * 9 * 2 and len(vertices) == 4**3 - 2**3
    assert enclosed(vertices, triangles) == pytest.approx(1.0)


def test_boundary_of_mixed_and_inverted_elements_and_marked_faces(tmp_path):
    hexes, tets = solid_cube("hexahedron"), solid_cube("tetra")
    beside = tets[0] + [5.0, 0.0, 0.0]
    inverted = tets[1].copy()
    inverted[::2] = inverted[::2][:, [0, 2, 1, 3]]
    points = np.concatenate([hexes[0], beside])
    blocks = [("hexahedron", hexes[1]), ("tetra", inverted + len(hexes[0])), ("quad", hexes[1][:2, :4])]
    path = save(tmp_path / "mixed.vtu", points, [*blocks, ("line", hexes[1][:2, :2])])
    assert enclosed(*read_surface(path)) == pytest.approx(2.0)


def test_triangles_of_clashing_orientation_are_turned(tmp_path):
    points, faces = sphere(1)
    mixed = faces.copy()
    mixed[::3] = mixed[::3, ::-1]
    vertices, triangles = read_surface(save(tmp_path / "mixed.ply", points, mixed))
    assert abs(enclosed(vertices, triangles)) == pytest.approx(enclosed(points, faces))


def hole(path):
    points, faces = sphere(2)
    save(path, points, np.delete(faces, [5], axis=0))


def half_written(path):
    save(path, *sphere(2))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def prose(path):
    path.write_text("Dear colleague,\nplease find the mesh attached.\n" * 20)


def nothing(path):
    path.write_bytes(b"")


def not_finite(path):
    points, faces = sphere(1)
    points[3] = np.nan
    save(path, points, faces)


def moebius_strip_twice(path):
    n = 12
    index = np.arange(2 * n).reshape(n, 2)
    following = np.concatenate([index[1:], index[:1, ::-1]])
    strip = np.concatenate(
        [np.column_stack([index, following[:, 0]]), np.column_stack([index[:, 1], following[:, ::-1]])]
    )
    angle = np.repeat(2.0 * np.pi * np.arange(n) / n, 2)
    side = np.tile([-0.3, 0.3], n) * np.cos(angle / 2)
    lift = np.tile([-0.3, 0.3], n) * np.sin(angle / 2)
    points = np.column_stack([(1.0 + side) * np.cos(angle), (1.0 + side) * np.sin(angle), lift])
    apex = len(points)
    rim = [(a, b) for a, b in np.concatenate([np.column_stack([index[:, i], following[:, i]]) for i in (0, 1)])]
    save(path, np.vstack([points, [0.0, 0.0, 5.0]]), np.concatenate([strip, [(a, b, apex) for a, b in rim]]))


@pytest.mark.parametrize("suffix", SURFACE_FORMATS)
@pytest.mark.parametrize("damage", [half_written, prose, nothing])
def test_damaged_files_are_named(tmp_path, capfd, suffix, damage):
    path = tmp_path / f"damaged.{suffix}"
    damage(path)
    capfd.readouterr()  # meshio's writers talk too
    with pytest.raises(MeshError, match=rf"damaged\.{suffix}: .*needed"):
        read_surface(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SURFACE_FORMATS)
def test_a_hole_is_told_by_its_open_edges(tmp_path, suffix):
    path = tmp_path / f"hole.{suffix}"
    hole(path)
    with pytest.raises(MeshError, match=r"holes: 3 of its 480 edges are open.*watertight"):
        voxelize(path, (8, 8, 8))


def test_bad_geometry(tmp_path):
    path = tmp_path / "bad.vtk"
    not_finite(path)
    with pytest.raises(MeshError, match="not a number"):
        read_surface(path)
    moebius_strip_twice(path)
    with pytest.raises(MeshError, match="cannot be oriented alike"):
        read_surface(path)
    points, cells = solid_cube("tetra")
    curved = np.concatenate([cells, cells[:, :1].repeat(6, axis=1)], axis=1)
    with pytest.raises(MeshError, match=r"'tetra10'.*first-order"):
        read_surface(save(path, points, [("tetra10", curved)]))
    with pytest.raises(MeshError, match="no triangles or volume elements"):
        read_surface(save(path, points, [("line", cells[:, :2])]))
    with pytest.raises(MeshError, match="has an area"):
        read_surface(save(path, points, np.zeros((4, 3), dtype=int)))
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(MeshError, match="flat"):
        voxelize(save(path, flat, np.array([[0, 1, 2], [2, 1, 0]])), (8, 8, 8))
    segment = tmp_path / "segment.obj"
    segment.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n")
    with pytest.raises(MeshError, match="'polygon'"):
        read_surface(segment)
    backwards = tmp_path / "backwards.obj"
    backwards.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -3\n")
    with pytest.raises(MeshError, match="absolute indices"):
        read_surface(backwards)


@pytest.mark.parametrize("name, reason", [("none.stl", "no such file"), ("", "no such file"), ("a.docx", r"'\.docx'")])
def test_no_mesh_file(tmp_path, name, reason):
    (tmp_path / "a.docx").write_text("text")
    with pytest.raises(MeshError, match=reason):
        read_surface(tmp_path / name)
    assert issubclass(MeshError, ValueError)


# ---- onto the grid -------------------------------------------------------------------------------------------------


def test_inverted_surface_gives_the_same_cells():
    points, faces = torus()
    box = {"spacing": 0.1, "origin": (-0.6, -1.6, -1.6)}
    outward = voxelize_surface(points, faces, (12, 32, 32), **box)
    np.testing.assert_array_equal(outward, voxelize_surface(points, faces[:, ::-1], (12, 32, 32), **box))


def test_torus_has_a_hole_and_the_cells_that_its_equation_says():
    points, faces = torus(n=192, m=96)
    shape, widths, origin = (14, 33, 36), (0.07, 0.09, 0.085), (-0.5, -1.5, -1.55)
    cells = voxelize_surface(points, faces, shape, spacing=widths, origin=origin, inside=OPEN)
    z, y, x = (
        (o + (np.arange(n) + 0.5) * h).reshape(s)
        for o, n, h, s in zip(origin, shape, widths, [(-1, 1, 1), (-1, 1), (-1,)], strict=True)
    )
    distance = np.hypot(np.hypot(x, y) - 1.0, z) - 0.35
    sure = abs(distance) > 3e-3  # the facets' sagitta
    np.testing.assert_array_equal(cells[sure], np.where(distance < 0, OPEN, FLUID)[sure])
    assert cells[7, 16, 18] == FLUID


def test_faces_through_cell_centres_are_decided_alike():
    corners, quads = cube_surface()
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    for size in (4, 5):
        cells = voxelize_surface(corners * size + 2.5, faces, (12, 12, 12))
        assert (cells == SOLID).sum() == size**3
        assert ndimage.find_objects(cells)[0] == (slice(2, 2 + size),) * 3


def test_a_cavity_stays_empty_and_a_distant_origin_is_harmless():
    points, faces = sphere(2)
    n = len(points)
    shell = np.concatenate([points, 0.5 * points]), np.concatenate([faces, faces[:, ::-1] + n])
    cells = voxelize_surface(*shell, (30, 30, 30), spacing=0.1, origin=(-1.5,) * 3)
    assert ndimage.label(cells == FLUID)[1] == 2
    far = shell[0] + 1e6
    np.testing.assert_array_equal(
        cells, voxelize_surface(far, shell[1], (30, 30, 30), spacing=0.1, origin=(1e6 - 1.5,) * 3)
    )


def test_surface_cut_by_the_box_or_outside_it():
    points, faces = sphere(2)
    half = voxelize_surface(points, faces, (10, 20, 20), spacing=0.1, origin=(0.0, -1.0, -1.0))
    assert half[0].sum() == pytest.approx(np.pi * 100, rel=0.05) and half[-1].sum() < 60
    assert not voxelize_surface(points, faces, (4, 4, 4), spacing=0.1, origin=(2.0, 2.0, 2.0)).any()
    assert voxelize_surface(points, faces, (4, 4, 4), spacing=0.1, origin=(-0.2, -0.2, -0.2)).all()


def test_graded_grid_keeps_the_volume(tmp_path):
    path = save(tmp_path / "sphere.stl", *sphere())
    across = 1.0 + 0.5 * np.sin(np.linspace(0.0, np.pi, 36))
    cells = voxelize(path, (36, 40, 30), spacing=[across, 1.1, 1.7], margin=0.15)
    volume = Poisson(cells, spacing=[across, 1.1, 1.7]).grid.volumes()[cells == SOLID].sum()
    radius = 0.35 * min(across.sum(), 44.0, 51.0)
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)


@pytest.mark.parametrize("up, axis, sign", [(s + a, i, -1 if s else 1) for i, a in enumerate("xyz") for s in ("", "-")])
def test_up(tmp_path, up, axis, sign):
    """A tall tetrahedron with its tip up and unequal legs, which tell a rotation from a mirror image."""
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.4, 0.0], [0.0, 0.0, 3.0]])
    turned = np.zeros_like(points)
    turned[:, axis] = sign * points[:, 2]
    turned[:, (axis + 1) % 3], turned[:, (axis + 2) % 3] = points[:, 0], sign * points[:, 1]
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    options = {"shape": (64, 64, 64), "margin": 0.02}
    upright = voxelize(save(tmp_path / "upright.ply", points, faces), up="z", **options)
    layers = upright.sum(axis=(1, 2))
    assert layers[1:5].sum() > 10 * layers[-16:].sum() > 0
    cells = voxelize(save(tmp_path / "turned.ply", turned, faces), up=up, **options)

    def difference(other):
        """Of the cells, up to a turn about z, in parts of the body."""
        return min((np.rot90(other, k, axes=(1, 2)) != upright).sum() for k in range(4)) / upright.sum()

    assert difference(cells) < 0.1 and difference(cells[:, :, ::-1]) > 0.2


def test_the_bunny_is_one_body_that_stands_upright():
    vertices, triangles = read_surface(BUNNY)
    assert (len(vertices), len(triangles)) == (1839, 3674)
    volume, extent = enclosed(vertices, triangles), np.ptp(vertices, axis=0)
    assert 0.2 < volume / extent.prod() < 0.35
    n, margin = 64, 0.1
    cells = voxelize(BUNNY, (n, n, n), margin=margin)
    solid = cells == SOLID
    assert solid.sum() == pytest.approx(volume * ((1 - 2 * margin) * n / extent.max()) ** 3, rel=0.01)
    assert ndimage.label(solid, np.ones((3, 3, 3)))[1] == 1 and ndimage.label(~solid)[1] == 1
    z, y, x = ndimage.find_objects(cells)[0]
    assert abs(z.start + z.stop - n) <= 1 and abs(y.start + y.stop - n) <= 1 and abs(x.start + x.stop - n) <= 1
    layers = solid[z].sum(axis=(1, 2))
    height = len(layers)
    assert layers[:3].mean() > 10 * layers[-3:].mean()  # it stands on its base, ears up
    ears = ndimage.label(solid[z][int(0.9 * height)])[1]
    assert ears == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"shape": (8, 8)}, "shape: "),
        ({"shape": 8}, "shape: "),
        ({"shape": (8, 8, 0)}, "shape: "),
        ({"shape": (8, 8, 8.0)}, "shape: "),
        ({"margin": 0.5}, "margin: 0.5"),
        ({"margin": float("nan")}, "margin: nan"),
        ({"up": "w"}, "up: 'w'"),
        ({"inside": 3}, "inside: 3"),
        ({"outside": SOLID}, "both 1"),
        ({"spacing": -1.0}, "spacing"),
        ({"shape": (1, 1, 2)}, "more cells"),
    ],
)
def test_arguments_of_voxelize_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        voxelize(BUNNY, **{"shape": (8, 8, 8), **arguments})


def test_arguments_of_voxelize_surface_are_checked():
    points, faces = sphere(0)
    with pytest.raises(ValueError, match="vertices: "):
        voxelize_surface(points[:, :2], faces, (4, 4, 4))
    with pytest.raises(ValueError, match="triangles: "):
        voxelize_surface(points, faces + 1, (4, 4, 4))
    with pytest.raises(ValueError, match="origin: "):
        voxelize_surface(points, faces, (4, 4, 4), origin=(0.0, 0.0))


# ---- VTK -----------------------------------------------------------------------------------------------------------

TYPES = {"Float64": "f8", "Float32": "f4", "UInt8": "u1", "Int64": "i8", "Int32": "i4"}


def read_vtr(path):
    """Extent, coordinates and cell data of a .vtr file, by the format's description alone."""
    content = path.read_bytes()
    mark = content.index(b"_", content.index(b"<AppendedData")) + 1
    end = content.rindex(b"</AppendedData>")
    root = ElementTree.fromstring(content[: mark - 1] + content[end:])
    assert root.get("type") == "RectilinearGrid" and root.get("header_type") == "UInt64"
    order = {"LittleEndian": "<", "BigEndian": ">"}[root.get("byte_order")]
    arrays, reached = {}, 0
    for array in root.iter("DataArray"):
        assert array.get("format") == "appended" and int(array.get("offset")) == reached
        size = int(np.frombuffer(content, order + "u8", 1, mark + reached)[0])
        data = content[mark + reached + 8 : mark + reached + 8 + size]
        arrays[array.get("Name")] = np.frombuffer(data, order + TYPES[array.get("type")])
        reached += 8 + size
    assert content[mark + reached : end].strip() == b""
    extent = [int(n) for n in root.find("RectilinearGrid").get("WholeExtent").split()]
    assert root.find("RectilinearGrid/Piece").get("Extent").split() == [str(n) for n in extent]
    return extent, arrays


def test_vtk_of_a_graded_problem(tmp_path):
    rng = np.random.default_rng(11)
    shape = (3, 4, 5)
    widths = [rng.uniform(0.5, 2.0, n) for n in shape]
    cells = np.zeros(shape, dtype=np.uint8)
    cells[1, 2, 3], cells[0, 0, 0] = SOLID, OPEN
    pressure = rng.standard_normal(shape)
    pressure[1, 2, 3] = np.nan
    fields = {
        "pressure": pressure,
        'a < b & "c"': np.arange(60, dtype=np.float32).reshape(shape),
        "turned": np.arange(60).reshape(5, 4, 3).T,
        "mask": cells == SOLID,
    }
    path = write_vtk(tmp_path / "new" / "p.vtr", Poisson(cells, spacing=widths), fields, origin=(1.0, 2.0, 3.0))
    assert path == tmp_path / "new" / "p.vtr" and [p.name for p in path.parent.iterdir()] == ["p.vtr"]
    extent, arrays = read_vtr(path)
    assert extent == [0, 5, 0, 4, 0, 3]
    for name, low, h in zip("zyx", (1.0, 2.0, 3.0), widths, strict=True):
        np.testing.assert_allclose(arrays[name], low + np.concatenate([[0.0], np.cumsum(h)]))
    assert list(arrays)[3:] == ["cells", *fields]
    np.testing.assert_array_equal(arrays["cells"].reshape(shape), cells)
    np.testing.assert_array_equal(arrays["pressure"].reshape(shape), np.nan_to_num(pressure, nan=0.0))
    for name in list(fields)[1:]:
        np.testing.assert_array_equal(arrays[name].reshape(shape), fields[name])
    assert arrays['a < b & "c"'].dtype == np.float32


def test_vtk_of_a_plane_is_one_layer(tmp_path):
    cells = np.zeros((3, 4), dtype=np.uint8)
    values = np.arange(12.0).reshape(3, 4)
    extent, arrays = read_vtr(write_vtk(tmp_path / "plane.vtr", Poisson(cells, spacing=0.5), {"p": values}))
    assert extent == [0, 4, 0, 3, 0, 1]
    np.testing.assert_allclose(arrays["z"], [0.0, 0.5])
    np.testing.assert_array_equal(arrays["p"].reshape(3, 4), values)
    extent, arrays = read_vtr(write_vtk(tmp_path / "bare.vtr", cells))
    assert set(arrays) == {"x", "y", "z", "cells"} and arrays["x"][-1] == 4.0


def test_vtk_overwrites_only_when_told_and_never_by_half(tmp_path, monkeypatch):
    cells = np.zeros((3, 4), dtype=np.uint8)
    path = write_vtk(tmp_path / "p.vtr", cells)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_vtk(path, cells, {"p": np.ones((3, 4))})
    assert path.read_bytes() == before

    from pyevtk.vtk import VtkFile

    with monkeypatch.context() as patch:
        patch.setattr(VtkFile, "save", lambda self: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            write_vtk(path, cells, {"p": np.ones((3, 4))}, overwrite=True)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["p.vtr"]
    assert "p" in read_vtr(write_vtk(path, cells, {"p": np.ones((3, 4))}, overwrite=True))[1]


@pytest.mark.parametrize(
    "name, fields, error, message",
    [
        ("p.vtk", {}, ValueError, r"path: .*\.vtr \(p\.vtr\)"),
        ("p", {}, ValueError, r"\.vtr"),
        ("p.vtr", {"p": np.ones(12)}, ValueError, r"fields\['p'\]: shape \(12,\).*\(3, 4\)"),
        ("p.vtr", {"p": np.full((3, 4), np.nan)}, ValueError, "12 FLUID cells"),
        ("p.vtr", {"p": np.ones((3, 4), dtype=complex)}, TypeError, "complex"),
        ("p.vtr", {"cells": np.ones((3, 4))}, ValueError, "'cells'"),
        ("p.vtr", {"": np.ones((3, 4))}, ValueError, "name ''"),
        ("p.vtr", {3: np.ones((3, 4))}, ValueError, "name 3"),
    ],
)
def test_arguments_of_write_vtk_are_checked(tmp_path, name, fields, error, message):
    with pytest.raises(error, match=message):
        write_vtk(tmp_path / name, np.zeros((3, 4), dtype=np.uint8), fields)
    assert not list(tmp_path.iterdir())


# ---- optional dependencies -----------------------------------------------------------------------------------------


def test_extras_are_imported_only_where_used():
    code = "import sys, deepcg, deepcg.io.mesh; print([m for m in ('meshio', 'igl', 'pyevtk') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module, package", [("meshio", "meshio"), ("igl", "libigl"), ("pyevtk.vtk", "pyevtk")])
def test_a_missing_extra_says_how_to_get_it(tmp_path, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{package}: pip install 'deepcg\[mesh\]'"):
        if package == "pyevtk":
            write_vtk(tmp_path / "p.vtr", np.zeros((3, 4), dtype=np.uint8))
        else:
            voxelize(BUNNY, (8, 8, 8))
