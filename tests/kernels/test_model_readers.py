"""Model files that were mutated: the readers in C++ and in Python accept the same ones, and Python's raises ModelFileError or nothing."""

import copy
import ctypes
import json
import os
import warnings

import numpy as np
import pytest

from deepcg.io import model_file
from deepcg.multigrid import parameters
from deepcg.native import library as native
from deepcg.native.constants import MODEL_FORMAT, UNSUPPORTED
from tests.kernels.test_model_kernel import Model

pytestmark = pytest.mark.skipif(native.unavailable is not None, reason="the kernels are not built")

SHIPPED = [model_file.shipped()[name].read_bytes() for name in ("multilevel-2d", "multilevel-3d")]
NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    4,
    2**31,
    2**53,
    2**63,
    2**64,
    10**400,
    0.5,
    2.0,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    -float("inf"),
)
OTHERS = (
    None,
    True,
    False,
    "",
    "F32",
    "F64",
    "BF16",
    "multilevel",
    "dcdm",
    "deepcg-model",
    [],
    {},
    [[]],
    {"a": 1},
    "\u00e9",
    "\U0001d6fa",
)
TEXTS = (b"01", b"+1", b".5", b"1.", b"1e", b"-", b"1e999", b"-1e999", b"1e-999", b"0x1", b"NaN", b"Infinity", b"-Infinity", b"+Infinity",
         b"nan", b"tru", b'"\\ud800"', b'"\\udc00"', b'"\\ud834\\udd1e"', b'"\\ud834\\u0041"', b'"\xff"', b'"\xc3\xa9"', b'"\xed\xa0\x80"',
         b'"\xf4\x90\x80\x80"', b'"\x01"', b"\xef\xbb\xbf1", b"[" * 70 + b"]" * 70, b"[" * 60 + b"]" * 60, b"[" * 5000 + b"]" * 5000,
         b'{"a":1,"a":2}', b"1,", b",", b"\x00", b"/**/1")  # fmt: skip


def parts(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def whole(header: bytes, data: bytes, length=None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def branches(value, path=()):
    """The places in a tree of JSON."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from branches(item, (*path, key))


class Mutator:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def pick(self, values):
        return values[self.rng.integers(len(values))]

    def in_tree(self, tree):
        """One place of the tree is taken away, doubled, or becomes something else."""
        *way, last = self.pick([path for path in branches(tree) if path])
        at = tree
        for key in way:
            at = at[key]
        choice = self.rng.integers(5)
        if choice == 0:
            del at[last]
        elif choice == 1 and isinstance(at, dict):
            at[self.pick(("", "weird", "omega", "__metadata__", "codebook", "hash"))] = copy.deepcopy(at[last])
        elif choice == 2 and type(at[last]) is int:
            at[last] += int(self.pick((-4, -1, 1, 4, 2**40)))
        elif choice == 3 and isinstance(at, dict):
            at[last] = self.pick(OTHERS)
        else:
            at[last] = self.pick(NUMBERS)
        return tree

    def tensors(self, header, data):
        """Values of the tensors, with a hash that is right."""
        values = np.frombuffer(data, "<f4").copy()
        for _ in range(self.rng.integers(1, 3)):
            values[self.rng.integers(values.size)] = self.pick(
                (np.nan, np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 1e10, 1e-40)
            )
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                tensors[name] = np.frombuffer(values.tobytes()[first:last], "<f4").reshape(entry["shape"])
        description = json.loads(header["__metadata__"]["deepcg"])
        description["hash"] = model_file.tensors_hash(tensors)
        header["__metadata__"]["deepcg"] = json.dumps(description)
        return whole(json.dumps(header).encode(), values.tobytes())

    def __call__(self) -> bytes:
        content = self.pick(SHIPPED)
        choice = self.rng.integers(8)
        if choice == 0:  # a byte
            altered = bytearray(content)
            for _ in range(self.rng.integers(1, 4)):
                altered[self.rng.integers(len(altered))] = self.rng.integers(256)
            return bytes(altered)
        if choice == 1:
            return (
                content[: self.rng.integers(len(content))]
                if self.rng.random() < 0.5
                else content + bytes(int(self.pick((1, 4, 64))))
            )
        header, data = parts(content)
        if choice == 2:  # the header's length
            length = int(self.pick((0, 1, 7, 2**20, 2**20 + 1, 2**24, 2**63, 2**64 - 1)))
            return whole(json.dumps(header).encode(), data, length)
        if choice == 3:
            return whole(json.dumps(self.in_tree(header)).encode(), data)
        if choice == 4:
            description = self.in_tree(json.loads(header["__metadata__"]["deepcg"]))
            header["__metadata__"]["deepcg"] = json.dumps(description)
            return whole(json.dumps(header).encode(), data)
        if choice == 5:
            return self.tensors(header, data)
        text = self.pick(TEXTS)
        if choice == 6:  # a member that nobody reads, or the end of the header
            made = json.dumps(header).encode()
            return whole(made[:-1] + b', "more": ' + text + b"}" if self.rng.random() < 0.5 else made + text, data)
        header["__metadata__"]["deepcg"] = (
            header["__metadata__"]["deepcg"][:-1] + ', "more": ' + text.decode("latin-1") + "}"
        )
        return whole(json.dumps(header, ensure_ascii=bool(self.rng.integers(2))).encode(), data)


def read_in_c(path):
    """What it found, or None: parameters of the multilevel network, or the name of an architecture that runs in Python only."""
    model, found = Model(), native.Parameters()
    code = LIBRARY.dcg_parameters_read(os.fspath(path).encode(), ctypes.byref(found), ctypes.byref(model))
    return bytes(found) if code == 0 else model.architecture if code == UNSUPPORTED else None


def read_in_python(path):
    try:
        tensors, description = model_file.load(path)
        if description["architecture"] != "multilevel":
            return description["architecture"].encode()[:31]
        return bytes(native.parameters(parameters.Parameters.from_tensors(tensors)))
    except model_file.ModelFileError:
        return None


LIBRARY = native.load() if native.unavailable is None else None


@pytest.mark.parametrize("mutants", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_both_readers_accept_the_same_files(mutants, tmp_path):
    mutate, path, accepted = Mutator(5), tmp_path / "mutant.safetensors", 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for number in range(mutants):
            content = mutate()
            path.write_bytes(content)
            in_c, in_python = read_in_c(path), read_in_python(path)
            assert in_c == in_python, f"mutant {number}: {content[:3000]!r}"
            accepted += in_c is not None
    assert 0.05 * mutants < accepted < 0.9 * mutants


def test_what_is_no_file_or_too_long_is_not_read(tmp_path):
    large = tmp_path / "large.safetensors"
    large.write_bytes((2**24).to_bytes(8, "little") + b" " * 2**24)
    with large.open("r+b") as stream:
        stream.truncate(2**31)  # takes no room on the disk
    for path in (large, "/dev/zero", "/dev/null", tmp_path):
        assert read_in_c(path) is None and read_in_python(path) is None


def test_a_format_of_the_future_and_one_that_is_no_number(tmp_path):
    header, data = parts(SHIPPED[0])
    for version in (MODEL_FORMAT + 1, 0, -1, 2.0, True, "2", None):
        description = {**json.loads(header["__metadata__"]["deepcg"]), "version": version}
        path = tmp_path / "m.safetensors"
        path.write_bytes(
            whole(json.dumps({**header, "__metadata__": {"deepcg": json.dumps(description)}}).encode(), data)
        )
        assert read_in_c(path) is None and read_in_python(path) is None
