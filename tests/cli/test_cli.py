"""The command line: what it solves, trains and prints, what it refuses, and that it overwrites nothing unasked."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

click_testing = pytest.importorskip("click.testing")
pytest.importorskip("tqdm")

import deepcg  # noqa: E402
from deepcg import cli  # noqa: E402
from deepcg.cli import train  # noqa: E402
from deepcg.io import model_file  # noqa: E402
from deepcg.preconditioners.registry import ENTRIES  # noqa: E402
from deepcg.scenes import gallery  # noqa: E402
from deepcg.scenes.conduction import effective_conductivity  # noqa: E402
from tests.support.former_models import write_format_1  # noqa: E402

TINY = ["train", "--dim", "2", "--stage", "8:6:2", "--stage", "12:4:2", "--ritz-vectors", "20", "--layers", "2,2,2"]
BUNNY = str(resources.files("deepcg.data") / "bunny.stl")


def run(*arguments, code=0):
    """The output of `deepcg ARGUMENTS`, whose exit status must be `code`."""
    result = click_testing.CliRunner().invoke(cli.main, [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny network and its picture, trained through the command line."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("trained")
    files = [
        "--checkpoint",
        folder / "t.checkpoint",
        "--output",
        folder / "t.safetensors",
        "--loss-curve",
        folder / "t.png",
    ]
    output = run(*TINY, *files, "--name", "tiny", "--device", "cpu", "--validate-every", "6")
    return folder, output


# ---- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *cli.main.commands])
def test_help_teaches_by_examples_that_parse(name):
    text = run(*([name] if name else []), "--help")
    examples = [shlex.split(line)[1:] for line in re.findall(r"^ +(deepcg .*)$", text, re.MULTILINE)]
    assert examples
    assert name is None or any(words[0] == name for words in examples)
    for words in examples:
        cli.main.commands[words[0]].make_context(words[0], words[1:])  # raises where an example does not parse


def test_version():
    assert deepcg.__version__ in run("--version")


def test_import_and_help_are_light():
    heavy = "torch", "matplotlib", "meshio", "igl", "pyamg"
    code = f"import sys, deepcg.cli; print([m for m in {heavy} if m in sys.modules])"
    root = Path(deepcg.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# ---- solve ---------------------------------------------------------------------------------------------------------


def test_solve_scene_writes_what_was_asked_for():
    pytest.importorskip("pyevtk")
    output = run(
        "solve", "sphere", "--dim", 2, "--size", 13, "--model", "jacobi", "--output", "s.vtr", "--save-x", "x.npy"
    )
    scene = gallery.scene("sphere", 13, 2)
    x = np.load("x.npy")
    left = np.linalg.norm(scene.rhs - scene.problem.apply(x)) / np.linalg.norm(scene.rhs)
    assert left <= 1e-6
    assert f"relative to ||b|| {left:.2e}" in output
    assert "converged: jacobi with cg" in output
    assert f"{scene.problem.size} unknowns" in output


def test_solve_that_does_not_converge_says_so():
    assert "maximum number of iterations" in run(
        "solve", "box", "--dim", 2, "--size", 16, "--model", "jacobi", "--maxiter", 3, code=1
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("suffix", ["mtx", "npz"])
def test_solve_matrix(suffix, sign):
    problem = deepcg.Poisson(np.zeros((5, 7, 9), dtype=np.uint8), boundary="open")
    A, b = sign * problem.matrix(), np.random.default_rng(3).standard_normal(problem.size)
    scipy.io.mmwrite("A.mtx", A) if suffix == "mtx" else sp.save_npz("A.npz", A)
    np.save("b.npy", b)
    scipy.io.mmwrite("b.mtx", b[:, None])
    for rhs in ("b.npy", "b.mtx"):
        run(
            "solve", f"A.{suffix}", "--grid", "9,7,5", "--rhs", rhs, "--model", "jacobi", "--save-x", "x.npy", "--force"
        )
        assert np.linalg.norm(b - A @ np.load("x.npy")) <= 1e-6 * np.linalg.norm(b)


def test_solve_singular_matrix_with_default_rhs():
    pytest.importorskip("pyevtk")
    sp.save_npz("A.npz", gallery.scene("cavity", 9, 2).problem.matrix())
    output = run("solve", "A.npz", "--grid", "9,9", "--model", "jacobi", "--output", "a.vtr")
    assert "random x" in output
    assert "singular on 1 component" in output


def test_inconsistent_rhs_is_measured_as_given_and_where_it_can_be_reached():
    sp.save_npz("A.npz", gallery.scene("cavity", 9, 2).problem.matrix())
    b = np.random.default_rng(5).standard_normal(81) + 1.0
    np.save("b.npy", b)
    output = run("solve", "A.npz", "--grid", "9,9", "--rhs", "b.npy", "--model", "jacobi")
    assert "taken off" in output
    true, reached = re.search(r"relative to \|\|b\|\| (\S+);.* relative to the rest of b (\S+)", output).groups()
    assert float(true) == pytest.approx(9 * abs(b.mean()) / np.linalg.norm(b), rel=1e-2)
    assert float(reached) < 1e-6


@pytest.mark.parametrize("suffix", ["npy", "mtx"])
def test_solve_columns_of_right_hand_sides(suffix):
    pytest.importorskip("pyevtk")
    A = gallery.scene("box", 8, 2).problem.matrix()
    B = np.random.default_rng(7).standard_normal((64, 3))
    sp.save_npz("A.npz", A)
    np.save("B.npy", B)
    scipy.io.mmwrite("B.mtx", B, precision=17)
    command = ["solve", "A.npz", "--grid", "8,8", "--rhs", f"B.{suffix}", "--model", "jacobi", "--save-x", "X.npy"]
    output = run(*command, "--output", "X.vtr")
    X = np.load("X.npy")
    assert X.shape == B.shape
    left = np.linalg.norm(B - A @ X, axis=0) / np.linalg.norm(B, axis=0)
    assert left.max() <= 1e-6
    assert "3 right-hand sides, all converged" in output
    assert f"the worst: ||b - A x|| = {np.linalg.norm(B - A @ X, axis=0)[left.argmax()]:.3e}" in output
    for n in range(3):
        assert f'Name="x {n}"'.encode() in Path("X.vtr").read_bytes()
    assert "3 of 3 right-hand sides did not converge" in run(*command, "--force", "--maxiter", "1", code=1)


def test_solve_mesh_is_the_scene_of_that_mesh():
    pytest.importorskip("igl")
    pytest.importorskip("meshio")
    run("solve", BUNNY, "--size", 12, "--model", "jacobi", "--save-x", "mesh.npy")
    run("solve", "bunny", "--size", 12, "--model", "jacobi", "--save-x", "scene.npy")
    np.testing.assert_array_equal(np.load("mesh.npy"), np.load("scene.npy"))
    run("solve", BUNNY, "--size", 12, "--up", "x", "--model", "jacobi", "--save-x", "lying.npy")
    assert not np.array_equal(np.load("lying.npy"), np.load("scene.npy"))


@pytest.mark.parametrize("name", gallery.names(2, rough=True))
def test_solve_prints_the_effective_conductivity(name):
    command = ["solve", name, "--dim", 2, "--size", 13, "--model", "jacobi", "--rtol", "1e-9"]
    output = run(*command, "--contrast", "1e3", "--save-x", "x.npy")
    found = re.search(r"Effective conductivity: (\S+) \(inlet (\S+), outlet (\S+): (\S+) apart\)", output)
    value, inlet, outlet, apart = map(float, found.groups())
    assert inlet == pytest.approx(outlet, rel=1e-4) and value == pytest.approx(inlet, rel=1e-4) and apart < 1e-4
    scene = gallery.scene(name, 13, 2, contrast=1e3)
    assert value == pytest.approx(effective_conductivity(scene.problem, np.load("x.npy")).value, rel=1e-4)
    other = run(*command, "--contrast", "1e2", "--seed", 5)
    assert f"conductivity: {found[1]}" not in other
    assert "conductivity" not in run("solve", "box", "--dim", 2, "--size", 9, "--model", "jacobi")


def test_a_tolerance_too_loose_for_the_conductivity_is_said():
    loose = run("solve", "lognormal", "--dim", 2, "--size", 16, "--model", "jacobi", "--rtol", 0.3)
    assert "a smaller --rtol brings inlet and outlet together" in loose


@pytest.mark.parametrize("name", ["fractures", "cutcells", "sphere"])
def test_solve_draws_a_picture(name, workplace):
    pytest.importorskip("matplotlib")
    command = ["solve", name, "--dim", 2, "--size", 12, "--model", "jacobi", "--picture", "p.png"]
    assert "Written: p.png" in run(*command)
    assert (workplace / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "--force" in run(*command, code=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "no scene"),
        (["sphere", "--contrast", "1e3"], "'sphere' takes none; it belongs to fractures, inclusions, "),
        (["fractures", "--contrast", "0.1"], "contrast: 0.1 given; a number from 1"),
        (["fractures", "--seed", "-3"], "seed: -3 given"),
        (["gone.stl", "--contrast", "1e3"], "--contrast: belongs to a scene (fractures, "),
        (["laplace.npz", "--grid", "3,3", "--seed", "3"], "--seed: belongs to a scene"),
        (["laplace.npz", "--grid", "3,3", "--picture", "p.png"], "--picture: belongs to a scene or a mesh"),
        (["sphere", "--picture", "p.jpg"], ".png"),
        (["sphere", "--size", 3], "at least 8"),
        (["bunny", "--dim", 2], "in 2-D one of"),
        (["sphere", "--grid", "3,3"], "--grid"),
        (["sphere", "--rtol", "-1"], "rtol"),
        (["sphere", "--size", 9, "--model", "nothing"], "neither a shipped name"),
        (["gone.stl"], "no such file"),
        (["gone.stl", "--dim", 2], "--dim"),
        (["gone.mtx", "--grid", "3,3"], "no such file"),
        (["bad.mtx"], "--grid"),
        (["bad.mtx", "--grid", "3,3"], "no banner"),
        (["bad.npz", "--grid", "3,3"], "truncated"),
        (["eye.npz", "--grid", "3,x"], "64,64,32"),
        (["laplace.npz", "--grid", "4,5"], "cells"),
        (["laplace.npz", "--grid", "3,3", "--rhs", "short.npy"], "one per row"),
        (["laplace.npz", "--grid", "3,3", "--rhs", "pickle.npy"], "no vector"),
        (["laplace.npz", "--grid", "3,3", "--rhs", "gone.npy"], "no such file"),
        (["laplace.npz", "--grid", "3,3", "--rhs", "b.txt"], ".npy"),
        (["sphere", "--output", "x.vtk"], ".vtr"),
        (["sphere", "--save-x", "x.txt"], ".npy"),
    ],
)
def test_bad_input_is_one_line(arguments, says, workplace):
    for name in ("bad.mtx", "bad.npz"):
        (workplace / name).write_bytes(b"PK\x03\x04 nothing of the kind")
    sp.save_npz("laplace.npz", deepcg.Poisson(np.zeros((3, 3), dtype=np.uint8), boundary="open").matrix())
    np.save("short.npy", np.ones(4))
    np.save("pickle.npy", np.array([None]), allow_pickle=True)
    output = run("solve", *arguments, code=2)
    assert says in output.splitlines()[-1]
    assert output.splitlines()[-1].startswith("Error: ")


def test_traceback_on_request():
    result = click_testing.CliRunner().invoke(cli.main, ["--traceback", "solve", "nowhere"])
    assert isinstance(result.exception, ValueError)


@pytest.mark.parametrize(("option", "name"), [("--output", "kept.vtr"), ("--save-x", "kept.npy")])
def test_solve_overwrites_only_by_force(option, name, workplace):
    pytest.importorskip("pyevtk")
    (workplace / name).write_text("precious")
    command = ["solve", "box", "--dim", 2, "--size", 8, "--model", "jacobi", option, name]
    assert "--force" in run(*command, code=2)
    assert (workplace / name).read_text() == "precious"
    run(*command, "--force")
    assert (workplace / name).read_bytes() != b"precious"


def test_missing_extra_says_how_to_install_it(monkeypatch):
    sp.save_npz("A.npz", gallery.scene("cavity", 9, 2).problem.matrix())
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'deepcg[network]'" in run(*TINY, code=2)
    monkeypatch.setitem(sys.modules, "meshio", None)
    assert "pip install 'deepcg[mesh]'" in run("solve", BUNNY, "--size", 12, code=2)


# ---- train ---------------------------------------------------------------------------------------------------------


def test_train_writes_a_model_that_says_how_it_was_made(trained):
    from deepcg.io import model_file

    folder, output = trained
    facts = model_file.load(folder / "t.safetensors")[1]
    training = facts["training"]
    assert facts["name"] == "tiny"
    assert training["command"] == " ".join(["deepcg", *TINY, "--name", "tiny"])
    assert training["stages"] == [{"size": 8, "steps": 6, "batch": 2}, {"size": 12, "steps": 4, "batch": 2}]
    assert training["validation"]["step"] == 10
    assert training["seconds"] > 0
    assert 0 < training["final_loss"] < 2
    assert "in the box" in output
    assert (folder / "t.png").read_bytes().startswith(b"\x89PNG")
    solved = run("solve", "sphere", "--dim", 2, "--size", 12, "--model", folder / "t.safetensors")
    assert "converged: tiny with dcd" in solved


def test_recorded_command_gives_the_same_weights(trained):
    from deepcg.io import model_file

    folder, _ = trained
    tensors, facts = model_file.load(folder / "t.safetensors")
    run(*shlex.split(facts["training"]["command"])[1:], "--device", "cpu")
    again, _ = model_file.load("out/tiny.safetensors")
    for name, value in tensors.items():
        np.testing.assert_array_equal(again[name], value)


def test_defaults_are_those_of_the_shipped_networks():
    pytest.importorskip("torch")
    from deepcg.training.dcdm_trainer import DCDMTraining
    from deepcg.training.run import DCDM_OPTIONS, command

    for dim in (2, 3):
        settings = cli.main.commands["train"].make_context("train", ["--dim", str(dim)]).params
        given = {key: settings[key] for key in ("dim", "stages", "rate", "seed", "ritz_vectors", "layers")}
        assert DCDMTraining(**train._given(given, DCDM_OPTIONS)) == DCDMTraining(dim=dim)
        assert command(DCDMTraining(dim=dim), f"dcdm-{dim}d") == f"deepcg train --dim {dim}"


def test_interrupted_training_goes_on_where_it_stopped(trained, monkeypatch):
    from deepcg.io import model_file
    from deepcg.training.dcdm_trainer import DCDMTrainer

    honest = DCDMTrainer._one_step

    def interrupted(self):
        if self.step == 4:
            signal.raise_signal(signal.SIGINT)
        return honest(self)

    before = signal.getsignal(signal.SIGINT)
    command = [*TINY, "--name", "halved", "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(DCDMTrainer, "_one_step", interrupted)
        output = run(*command, code=130)
    assert "stopped after step 5 of 10" in output
    assert signal.getsignal(signal.SIGINT) is before
    assert "--resume" in run(*command, code=2)  # neither --resume nor --force given
    again = re.search(r"^To go on: deepcg (.*)$", output, re.MULTILINE).group(1)
    assert "--seed" in run(*shlex.split(again), "--seed", "77", code=2)
    run(*shlex.split(again), "--device", "cpu")
    whole, _ = model_file.load(trained[0] / "t.safetensors")
    halves, _ = model_file.load("out/halved.safetensors")
    for name, value in whole.items():
        np.testing.assert_array_equal(halves[name], value)


def test_finished_run_can_be_written_again(workplace):
    pytest.importorskip("torch")
    run(*TINY, "--name", "twice", "--device", "cpu")
    first = workplace / "out" / "twice.safetensors"
    run("train", "--dim", 2, "--name", "twice", "--resume", "--output", "again.safetensors", "--device", "cpu")
    assert (workplace / "again.safetensors").read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stage", "16:3"], "SIZE:STEPS:BATCH"),
        (["--stage", "2:3:4"], "at least 4"),
        (["--layers", "4,6"], "4,6,4"),
        (["--layers", "3,5,3"], "even"),
        (["--rate", "0"], "rate"),
        (["--name", "a/b"], "--name"),
        (["--output", "x.bin"], ".safetensors"),
        (["--loss-curve", "x.bmp"], ".png"),
        (["--resume"], "no such file"),
        (["--resume", "--checkpoint", "bad"], "not a training checkpoint"),
    ],
)
def test_train_refuses_bad_input(arguments, says, workplace):
    pytest.importorskip("torch")
    (workplace / "bad").write_bytes(b"nothing of the kind")
    assert says in run("train", "--dim", 2, *arguments, code=2)
    assert not (workplace / "out").exists()


def test_train_overwrites_only_by_force(trained, workplace):
    for option, name in (("--output", "kept.safetensors"), ("--loss-curve", "kept.png"), ("--checkpoint", "kept.ck")):
        (workplace / name).write_text("precious")
        assert "--force" in run(*TINY, option, name, code=2)
        assert (workplace / name).read_text() == "precious"


# ---- info, scenes, doctor ------------------------------------------------------------------------------------------


def test_info_prints_the_description(trained):
    output = run("info", trained[0] / "t.safetensors")
    for part in ("tiny", "dcdm, 2-D", "layers 2,2,2", "passed", "deepcg train --dim 2", "8:6:2 12:4:2", "kB", "hash"):
        assert part in output


@pytest.mark.parametrize("name", ENTRIES)
def test_every_preconditioner_of_the_registry_is_listed_and_described(name):
    entry = ENTRIES[name]
    assert re.search(rf"^{name} +{re.escape(entry.summary)} \({re.escape(entry.capabilities)}\)$", run("info"), re.M)
    described = run("info", name)
    assert entry.capabilities in described
    assert entry.from_file or entry.summary in described
    assert re.search(rf"\b{name}\b", run("solve", "--help").partition("--model")[2].partition("--method")[0])


def test_info_lists_shipped_models():
    output = run("info")
    for name in model_file.shipped():
        assert name in output


def test_info_renews_a_file_of_an_earlier_format(workplace):
    path = write_format_1(model_file.shipped()["multilevel-2d"], workplace / "m.safetensors")
    with pytest.warns(FutureWarning, match="--rewrite"):
        run("info", path)
    output = run("info", path, "--rewrite")
    assert f"Written: {path}" in output and "passed" in output
    assert model_file.describe(path) == model_file.describe(model_file.shipped()["multilevel-2d"])
    assert "--rewrite: a model file is needed" in run("info", "--rewrite", code=2)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 9])
def test_info_refuses_what_is_no_model(content, workplace):
    (workplace / "m.safetensors").write_bytes(content)
    assert "m.safetensors" in run("info", "m.safetensors", code=2)
    assert "neither" in run("info", "unheard-of", code=2)


def test_scenes_are_listed():
    output = run("scenes")
    for name in gallery.names():
        assert name in output
    assert [line.split()[0] for line in output.splitlines() if "(--contrast)" in line] == list(
        gallery.names(rough=True)
    )
    assert "bunny" not in run("scenes", "--dim", 2)


def test_doctor_prints_every_check():
    output = run("doctor")
    for part in ("numpy", "kernels", "CUDA GPU", "The core works."):
        assert part in output
