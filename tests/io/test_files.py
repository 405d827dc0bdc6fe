"""Files are written whole or not at all: a full disk, a folder that takes none, what was there before."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import deepcg
from deepcg import Poisson
from deepcg.io import files, model_file
from deepcg.multigrid import parameters_file
from deepcg.multigrid.parameters import Parameters
from deepcg.scenes import gallery

click_testing = pytest.importorskip("click.testing")
pytest.importorskip("tqdm")


@contextmanager
def full_disk(size):
    """No file of this process grows beyond so many bytes: writing fails as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files in a folder; what is left behind is seen here."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_bytes(path):
    files.write_atomically(path, bytes(100_000), overwrite=True)


def write_vtk(path):
    pytest.importorskip("pyevtk")
    from deepcg.io.vtk import write_vtk

    problem = Poisson(np.zeros((60, 60), np.uint8))
    write_vtk(path, problem, {"x": np.random.default_rng(0).random((60, 60))}, overwrite=True)


def write_picture(path):
    pytest.importorskip("matplotlib")
    from deepcg.io.plots import convergence

    info = deepcg.solve(Poisson(np.zeros((9, 9), np.uint8), boundary="open"), np.ones((9, 9)))[1]
    convergence(path, {"x": info.residuals}, overwrite=True)


def write_model(path):
    parameters_file.save_parameters(path, Parameters.classical(), 2, "x", {}, overwrite=True)


WRITERS = {"any.bin": write_bytes, "x.vtr": write_vtk, "x.png": write_picture, "x.safetensors": write_model}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_earlier_file_as_it_was(name, tmp_path):
    path, write = tmp_path / name, WRITERS[name]
    path.write_bytes(b"precious")
    with full_disk(1000), pytest.raises(OSError) as caught:
        write(path)
    assert caught.value.errno == errno.EFBIG
    assert str(path) in str(caught.value)
    assert contents(tmp_path) == {name: b"precious"}
    write(path)
    assert contents(tmp_path).keys() == {name}
    assert path.stat().st_size > 1000
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", WRITERS)
def test_a_new_file_that_could_not_be_written_is_not_there(name, tmp_path):
    with full_disk(1000), pytest.raises(OSError):
        WRITERS[name](tmp_path / "new" / name)
    assert contents(tmp_path) == {}


def test_a_rename_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / "x").write_bytes(b"precious")
    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(OSError, match=r"Read-only file system: '.*x'"):
        files.write_atomically(tmp_path / "x", b"content", overwrite=True)
    assert contents(tmp_path) == {"x": b"precious"}


def test_an_error_in_between_leaves_nothing(tmp_path):
    with pytest.raises(ArithmeticError), files.replacing(tmp_path / "x") as beside:
        beside.write_bytes(b"half")
        raise ArithmeticError
    assert contents(tmp_path) == {}
    with pytest.raises(FileExistsError, match="nothing is overwritten unasked"):
        for _ in range(2):
            files.write_atomically(tmp_path / "x", b"whole")
    assert contents(tmp_path) == {"x": b"whole"}


def run(*arguments):
    from deepcg import cli

    return click_testing.CliRunner().invoke(cli.main, [str(a) for a in arguments])


def test_the_command_on_a_full_disk(tmp_path):
    pytest.importorskip("pyevtk")
    for name in ("x.npy", "x.vtr"):
        (tmp_path / name).write_bytes(b"precious")
    command = ["solve", "box", "--dim", 2, "--size", 32, "--model", "jacobi", "--force"]
    command += ["--save-x", tmp_path / "x.npy", "--output", tmp_path / "x.vtr"]
    with full_disk(1000):
        result = run(*command)
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("Error: [Errno 27] File too large: ")
    assert contents(tmp_path) == {"x.npy": b"precious", "x.vtr": b"precious"}
    with full_disk(9000):  # room for x, not for the VTK file: x is not lost with it
        result = run(*command)
    assert result.exit_code == 2
    assert f"Written: {tmp_path / 'x.npy'}" in result.output
    assert np.load(tmp_path / "x.npy").shape == gallery.scene("box", 32, 2).problem.shape
    assert (tmp_path / "x.vtr").read_bytes() == b"precious"


def test_the_command_refuses_a_folder_that_takes_no_files_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("deepcg.solver.solver.Solver.__init__", lambda *a, **k: pytest.fail("it worked"))
    result = run("solve", "box", "--save-x", tmp_path / "file" / "x.npy")
    assert (result.exit_code, "--save-x" in result.output, "is no folder" in result.output) == (2, True, True)
    monkeypatch.setattr(files.os, "access", lambda *a: False)
    result = run("solve", "box", "--save-x", tmp_path / "new" / "x.npy")
    assert (result.exit_code, f"nothing can be written into {tmp_path}" in result.output) == (2, True)
    assert contents(tmp_path) == {"file": b""}


def test_a_checkpoint_on_a_full_disk(tmp_path):
    pytest.importorskip("torch")
    from deepcg.training.dcdm_trainer import DCDMTrainer, DCDMTraining, Stage

    trainer = DCDMTrainer(DCDMTraining(dim=2, stages=(Stage(8, 2, 2),), ritz_vectors=8, layers=(2, 2, 2)), device="cpu")
    path = tmp_path / "run.checkpoint"
    trainer.save_checkpoint(path)
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(OSError):
        trainer.save_checkpoint(path)
    assert contents(tmp_path) == {"run.checkpoint": before}
    assert DCDMTrainer.resume(path).step == 0


def test_model_files_are_written_by_the_same_means():
    assert model_file.write_atomically is files.write_atomically
