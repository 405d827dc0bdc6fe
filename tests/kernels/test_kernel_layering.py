"""The kernels' rooms: includes go one way, and the CUDA library's rooms need no others."""

import re
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[2] / "kernels"

# What each folder of kernels/src may include beside itself. A room names earlier ones only, so there is no circle.
SRC = {
    "core": (),
    "operator": ("core",),
    "matrix": ("core",),
    "setup": ("core",),
    "cycle": ("core", "setup"),
    "krylov": ("core", "operator", "setup", "cycle"),
    "distributed": ("core", "setup", "cycle", "krylov"),
    "model": ("core", "setup"),
    "session": ("core", "operator", "matrix", "setup", "krylov", "distributed", "model"),
    "abi": ("core", "setup", "cycle", "krylov", "distributed"),
}
# The same for kernels/cuda; rooms of kernels/src by their bare names.
CUDA = {
    "cuda/core": ("core",),
    "cuda/setup": ("core", "setup", "cuda/core"),
    "cuda/cycle": ("core", "cycle", "cuda/core"),
    "cuda/krylov": ("krylov", "cuda/core", "cuda/cycle"),
    "cuda/abi": ("core", "setup", "cuda/core", "cuda/setup", "cuda/cycle", "cuda/krylov"),
}
TABLE = SRC | CUDA
PUBLIC = {"deepcg.h", "deepcg_cuda.h"}  # kernels/include


def folder(room: str) -> Path:
    return KERNELS / room if room.startswith("cuda/") else KERNELS / "src" / room


def includes(room: str) -> list[tuple[Path, str]]:
    """(file, what it includes in quotes) for all files of a room."""
    return [
        (path, name)
        for path in sorted(folder(room).iterdir())
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.MULTILINE)
    ]


def room_of(name: str) -> str:
    return name.rpartition("/")[0]


def made(variable: str) -> list[str]:
    """A list in kernels/Makefile."""
    return re.search(rf"^{variable} *:= *(.*)$", (KERNELS / "Makefile").read_text(), re.MULTILINE)[1].split()


def test_every_source_lies_in_a_room_of_the_table():
    files = [path for base in ("src", "cuda") for path in (KERNELS / base).rglob("*") if path.is_file()]
    outside = [path for path in files if path.parent not in {folder(room) for room in TABLE}]
    assert len(files) > 60 and not outside


@pytest.mark.parametrize("room", TABLE)
def test_a_room_includes_only_what_the_table_allows(room):
    included = includes(room)
    assert any(name not in PUBLIC for _, name in included) or not TABLE[room]
    for path, name in included:
        assert name in PUBLIC or room_of(name) in (room, *TABLE[room]), (path, name)


@pytest.mark.parametrize("room", TABLE)
def test_includes_are_rooted_and_lead_to_a_file(room):
    for path, name in includes(room):
        assert name in PUBLIC or (room_of(name) in TABLE and (folder(room_of(name)) / Path(name).name).is_file()), (
            path,
            name,
        )


@pytest.mark.parametrize("rooms", (SRC, CUDA), ids=("src", "cuda"))
def test_the_table_runs_one_way(rooms):
    order = list(rooms) if rooms is SRC else [*SRC, *CUDA]
    for room, allowed in rooms.items():
        assert all(order.index(other) < order.index(room) for other in allowed), room


def test_the_libraries_are_made_of_these_rooms():
    assert made("CPU_ROOMS") == list(SRC)
    own = set(made("CUDA_ROOMS"))
    # Of the rooms that cuda/ includes, cycle/ and krylov/ give headers that need no object.
    assert all(set(SRC[room]) <= own for room in own)
    assert {name for room in CUDA for _, name in includes(room) if room_of(name) in set(SRC) - own} == {
        "cycle/cell.hpp",
        "cycle/vcycle.hpp",
        "krylov/cg.hpp",
    }


def test_what_the_shared_headers_include():
    shared = {"cell.hpp", "vcycle.hpp", "cg.hpp"}
    included = [
        name
        for room in ("cycle", "krylov")
        for path, name in includes(room)
        if path.name in shared and name not in PUBLIC
    ]
    assert {room_of(name) for name in included} <= {"core"}
