"""Model files: what is written is read back, and nothing else is believed."""

import json
import warnings

import numpy as np
import pytest

pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.numpy")
from deepcg.dcdm.file import load_network, save_network  # noqa: E402
from deepcg.dcdm.network import DCDM  # noqa: E402
from deepcg.io import model_file  # noqa: E402 - needs torch
from deepcg.io.model_file import ModelFileError  # noqa: E402
from tests.support.former_models import write_format_1  # noqa: E402


@pytest.fixture
def path(tmp_path):
    import torch

    torch.manual_seed(11)
    return save_network(tmp_path / "tiny.safetensors", DCDM(2, (2, 2, 2), channels=2), "tiny", {"command": "none"})


def parts(path):
    tensors, description = model_file.load(path)
    return tensors, description


def write(path, tensors, description):
    path.write_bytes(safetensors.save(tensors, metadata={"deepcg": json.dumps(description)}))


def test_round_trip(path):
    import torch

    network, description = load_network(path)
    torch.manual_seed(11)
    original = DCDM(2, (2, 2, 2), channels=2)
    for (name, a), (other, b) in zip(network.state_dict().items(), original.state_dict().items(), strict=True):
        assert name == other and torch.equal(a, b)
    assert description["name"] == "tiny" and len(description["hash"]) == 16


def test_truncated(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelFileError, match="truncated or not a safetensors file"):
        load_network(path)


@pytest.mark.parametrize("content", [b"", b"just text\n", bytes(100)])
def test_not_a_model(tmp_path, content):
    path = tmp_path / "no.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="truncated or not a safetensors file"):
        load_network(path)


def test_missing(tmp_path):
    with pytest.raises(ModelFileError, match="no such model file"):
        load_network(tmp_path / "none.safetensors")


def test_foreign(tmp_path):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(safetensors.save({"w": np.zeros(3, dtype=np.float32)}))
    with pytest.raises(ModelFileError, match="not a deepcg model"):
        load_network(path)


def test_altered_weights(path):
    tensors, description = parts(path)
    tensors["project.bias"] = tensors["project.bias"] + 1
    write(path, tensors, description)
    with pytest.raises(ModelFileError, match="do not match the hash"):
        load_network(path)


def test_self_test_catches_weights_that_answer_otherwise(path):
    tensors, description = parts(path)
    tensors["project.bias"] = tensors["project.bias"] + 1
    write(path, tensors, {**description, "hash": model_file.tensors_hash(tensors)})
    with pytest.raises(ModelFileError, match="self-test failed"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 99"),
        ({"format": "other"}, "format 'other'"),
        ({"architecture": "unet"}, "architecture 'unet'"),
        ({"sizes": {"layers": [4, 6, 4], "channels": 2}}, "do not fit"),
        ({"sizes": {}}, "do not fit"),
    ],
)
def test_descriptions_that_do_not_fit(path, change, message):
    tensors, description = parts(path)
    write(path, tensors, {**description, **change})
    with pytest.raises(ModelFileError, match=message):
        load_network(path)


def test_a_description_without_a_required_part(path):
    tensors, description = parts(path)
    del description["training"]
    write(path, tensors, description)
    with pytest.raises(ModelFileError, match=r"lacks \['training'\]"):
        load_network(path)


def test_nothing_is_overwritten_unasked(path):
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="nothing is overwritten unasked"):
        save_network(path, DCDM(2, (2, 2, 2), channels=2), "other", {})
    assert path.read_bytes() == before
    save_network(path, DCDM(2, (2, 2, 2), channels=2), "other", {}, overwrite=True)
    assert load_network(path)[1]["name"] == "other"


@pytest.mark.parametrize("dim", [2, 3])
def test_shipped_models_pass_their_self_test_and_say_how_they_were_trained(dim):
    path = model_file.resolve("dcdm", dim)
    network, description = load_network(path)
    assert network.dim == description["dimension"] == dim
    assert description["training"]["command"].startswith("deepcg train")
    assert path.stat().st_size < 1_000_000


def test_unknown_name():
    with pytest.raises(ModelFileError, match=r"neither a shipped name .*dcdm-3d.* nor a file"):
        model_file.resolve("alexnet", 3)


def raw(path, header, content=b""):
    header = json.dumps(header).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)


def test_foreign_files_with_values_that_numpy_has_not(tmp_path):
    """Models of other programs are often in bfloat16: their description is missed before their values are read."""
    path = tmp_path / "foreign.safetensors"
    raw(path, {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4))
    with pytest.raises(ModelFileError, match="not a deepcg model"):
        load_network(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_a_description_that_is_none(path, text):
    path.write_bytes(safetensors.save(parts(path)[0], metadata={"deepcg": text}))
    with pytest.raises(ModelFileError, match="not a deepcg model"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "two"}, "version two"),
        ({"version": None}, "version None"),
        ({"dimension": 3}, "do not fit"),
        ({"sizes": {"layers": [3, 2, 2], "channels": 2}}, "do not fit"),
        ({"self_test": {}}, "self-test failed"),
        ({"self_test": {"answer": [0.0, 1.0]}}, "self-test failed"),
        ({"self_test": {"answer": [0.0, 1.0, 0.0, 1.0]}}, "self-test failed"),
    ],
)
def test_more_descriptions_that_do_not_fit(path, change, message):
    tensors, description = parts(path)
    write(path, tensors, {**description, **change})
    with pytest.raises(ModelFileError, match=message):
        load_network(path)


def test_weights_that_are_no_numbers_fail_the_self_test(path):
    tensors, description = parts(path)
    tensors["project.bias"] = np.full_like(tensors["project.bias"], np.nan)
    write(path, tensors, {**description, "hash": model_file.tensors_hash(tensors)})
    with pytest.raises(ModelFileError, match="self-test failed"):
        load_network(path)


def test_the_hash_sees_names_shapes_and_values_but_no_order():
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, dtype=np.float32)}
    others = [
        {"a": tensors["a"]},
        {"a": tensors["a"], "c": tensors["b"]},
        {**tensors, "a": tensors["a"].reshape(3, 2)},
        {**tensors, "b": np.nextafter(tensors["b"], np.float32(2))},
    ]
    hashes = {model_file.tensors_hash(other) for other in [tensors, *others]}
    assert len(hashes) == 5
    assert model_file.tensors_hash(dict(reversed(tensors.items()))) == model_file.tensors_hash(tensors)


@pytest.mark.parametrize("name", ["multilevel-2d", "multilevel-3d"])
def test_names_of_format_1_are_read_with_a_warning_and_renewed(name, tmp_path):
    shipped = model_file.shipped()[name]
    path = write_format_1(shipped, tmp_path / "former.safetensors")
    expected, today = model_file.load(shipped)
    with pytest.warns(FutureWarning, match=f"format 1 .codebook.*deepcg info {path} --rewrite"):
        tensors, description = model_file.load(path)
    assert description["version"] == 1 and tensors.keys() == expected.keys()
    assert all(np.array_equal(tensors[key], expected[key]) for key in expected)
    assert model_file.rewrite(path) == path
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors, description = model_file.load(path)
    assert description == today and all(np.array_equal(tensors[key], expected[key]) for key in expected)
