"""Model files as the kernels read them, against `deepcg.multigrid.parameters`; and damaged ones."""

import ctypes

import numpy as np
import pytest

from deepcg.io import model_file
from deepcg.multigrid.parameters import Parameters, load
from deepcg.native import library as native
from deepcg.native.constants import MODEL_FORMAT, UNSUPPORTED
from tests.support.former_models import write_format_1

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason=f"kernels not built: {native.unavailable}")

SHIPPED = {name: path for name, path in model_file.shipped().items() if name.startswith("multilevel")}


class Model(ctypes.Structure):
    """`dcg_model`."""

    _fields_ = (
        ("name", ctypes.c_char * 64),
        ("architecture", ctypes.c_char * 32),
        ("hash", ctypes.c_char * 20),
        ("dimension", ctypes.c_int32),
        ("format", ctypes.c_int32),
    )


def read(path) -> tuple[native.Parameters, Model]:
    parameters, model = native.Parameters(), Model()
    native.call("dcg_parameters_read", str(path).encode(), ctypes.byref(parameters), ctypes.byref(model))
    return parameters, model


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_read_as_python_reads_them(name):
    parameters, model = read(SHIPPED[name])
    expected, description = load(SHIPPED[name])
    assert bytes(parameters) == bytes(native.parameters(expected))
    assert (model.name.decode(), model.hash.decode(), model.dimension) == (
        description["name"],
        description["hash"],
        description["dimension"],
    )


def test_files_with_the_names_of_format_1_are_read(tmp_path):
    path = write_format_1(SHIPPED["multilevel-2d"], tmp_path / "former.safetensors")
    parameters, model = read(path)
    expected, today = read(SHIPPED["multilevel-2d"])
    assert bytes(parameters) == bytes(expected)
    assert (model.format, today.format, model.name) == (1, MODEL_FORMAT, today.name)


def test_classical_weights_are_pythons():
    parameters = native.Parameters()
    native.call("dcg_parameters_classical", ctypes.byref(parameters))
    assert bytes(parameters) == bytes(native.parameters(Parameters.classical()))


def test_names_and_descriptions_may_hold_any_characters(tmp_path):
    tensors, description = model_file.load(SHIPPED["multilevel-2d"])
    path = tmp_path / "model.safetensors"
    model_file.save(path, tensors, {**description, "name": 'r\u00e9seau "\u2202\U0001d6fa"\\ \n'})
    assert read(path)[1].name.decode() == 'r\u00e9seau "\u2202\U0001d6fa"\\ \n'


def test_the_papers_network_is_named_but_not_run():
    model, parameters = Model(), native.Parameters()
    path = str(model_file.shipped()["dcdm-3d"]).encode()
    assert native.load().dcg_parameters_read(path, ctypes.byref(parameters), ctypes.byref(model)) == UNSUPPORTED
    assert model.architecture == b"dcdm" and model.dimension == 3


@pytest.mark.parametrize("length", [0, 3, 8, 100, 1000, 2000])
def test_truncated_files_are_refused(tmp_path, length):
    path = tmp_path / "short.safetensors"
    path.write_bytes(SHIPPED["multilevel-3d"].read_bytes()[:length])
    with pytest.raises(native.KernelError, match=r"short.safetensors: .*(truncated|not a safetensors)"):
        read(path)


def test_any_altered_byte_is_noticed_or_harmless(tmp_path):
    """Parameters that were changed do not match the hash; a changed header is no JSON, or describes other tensors."""
    original, path = bytearray(SHIPPED["multilevel-3d"].read_bytes()), tmp_path / "altered.safetensors"
    expected = bytes(read(SHIPPED["multilevel-3d"])[0])
    rng = np.random.default_rng(8)
    for at in rng.integers(0, len(original), 300):
        altered = original.copy()
        altered[at] ^= 1 << rng.integers(8)
        path.write_bytes(altered)
        try:
            parameters, _ = read(path)
        except (native.KernelError, UnicodeDecodeError):
            continue
        assert bytes(parameters) == expected


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda t, d: ({**t, "omega": t["omega"] * 9}, d), "omega: values in"),
        (
            lambda t, d: ({k: v for k, v in t.items() if k != "omega"}, d),
            r"not those of a multilevel network \(omega\)",
        ),
        (
            lambda t, d: ({**t, "relaxation_table": t["relaxation_table"][:8]}, d),
            r"not those of a multilevel network \(relaxation_table\)",
        ),
        (lambda t, d: (t, {**d, "hash": "0" * 16}), "do not match the hash"),
        (lambda t, d: (t, {**d, "version": 3}), "not of a format that this deepcg reads"),
    ],
)
def test_other_weights_are_refused(tmp_path, make, text):
    tensors, description = model_file.load(SHIPPED["multilevel-3d"])
    tensors, changed = make(tensors, {k: v for k, v in description.items() if k != "hash"})
    path = tmp_path / "other.safetensors"
    model_file.save(path, tensors, changed)
    with pytest.raises(native.KernelError, match=text):
        read(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(native.KernelError, match=r"nothing.safetensors: no such model file"):
        read(tmp_path / "nothing.safetensors")
