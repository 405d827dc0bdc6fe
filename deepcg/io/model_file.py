"""Model files: one `.safetensors` file with parameters and, in its metadata, a JSON description.

The description says what the network is (architecture, dimension, sizes), what it was trained on and by which
command, how its input is scaled, and a self-test: what it answers to a fixed input. No pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..native.constants import MODEL_FORMAT
from .files import write_atomically

FORMAT = "deepcg-model"
FORMER_NAMES = {"multilevel": {"codebook": "relaxation_table"}}  # of tensors in format 1, by architecture
REQUIRED = ("architecture", "dimension", "sizes", "normalisation", "training", "self_test")
LONGEST_HEADER, LARGEST_FILE = 2**20, 2**30  # bytes
DEEPEST = 64  # levels of the header and of the description
SELF_TEST_SEED = 20220510
SELF_TEST_TOLERANCE = 1e-4


class ModelFileError(ValueError):
    """A model file is missing, truncated, foreign, or not what its description says."""


def tensors_hash(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and values; the first 16 digits name a model."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name], dtype=np.float32)
        digest.update(f"{name}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:16]


def save(path, tensors: Mapping[str, np.ndarray], description: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Write a model file; the hash and the format are added to the description."""
    from safetensors.numpy import save as serialise

    missing = [key for key in REQUIRED if key not in description]
    if missing:
        raise ValueError(f"description: {missing} missing")
    arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}
    full = {"format": FORMAT, "version": MODEL_FORMAT, "hash": tensors_hash(arrays), **description}
    content = serialise(arrays, metadata={"deepcg": json.dumps(full, sort_keys=True)})
    return write_atomically(path, content, overwrite)


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a model file and check it against its own description.

    Returns
    -------
    tensors, description

    Raises
    ------
    ModelFileError
        Missing, truncated, not a safetensors file, not one of ours, of a newer format, or with altered tensors.
    """
    path = Path(path)
    with _opened(path) as (stream, description, places, begin):
        stream.seek(begin)
        content = stream.read()
    tensors = {
        name: np.frombuffer(content, "<f4", math.prod(shape), offset).reshape(shape).astype(np.float32)
        for name, (offset, shape) in places.items()
    }
    if tensors_hash(tensors) != description["hash"]:
        raise ModelFileError(f"{path}: its parameters do not match the hash in its description; get the file again")
    former = FORMER_NAMES.get(description["architecture"], {}) if description["version"] < MODEL_FORMAT else {}
    if former.keys() & tensors.keys():
        warnings.warn(
            f"{path}: names of format {description['version']} ({', '.join(former)}), which a later deepcg will not read; "
            f"renew it: deepcg info {path} --rewrite",
            FutureWarning,
            stacklevel=2,
        )
    return {former.get(name, name): value for name, value in tensors.items()}, description


def rewrite(path: str | os.PathLike) -> Path:
    """Write a model file anew in the present format; its tensors keep their values, and its hash is that of their present names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        tensors, description = load(path)
    kept = {key: value for key, value in description.items() if key not in ("format", "version", "hash")}
    return save(path, tensors, kept, overwrite=True)


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """The description alone; raises as `load` does, but does not look at the tensors."""
    with _opened(Path(path)) as (_, description, _, _):
        return description


def _parsed(text: str) -> Any:
    """JSON as `kernels/src/model/json.hpp` reads it: at most 64 levels, and no halves of surrogate pairs."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count("[") + text.count("{") > DEEPEST and _depth(value) > DEEPEST:  # which takes longer than the reading
        raise ValueError("nested too deeply")
    return value


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((1 + _depth(item) for item in items), default=0)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _read_header(path: Path, stream: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    length = int.from_bytes(stream.read(8), "little")
    if not 8 <= size <= LARGEST_FILE or length > min(LONGEST_HEADER, size - 8):
        raise ModelFileError(f"{path}: truncated or not a safetensors file")
    try:
        header = _parsed(stream.read(length).decode())
    except ValueError as error:
        raise ModelFileError(f"{path}: truncated or not a safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise ModelFileError(f"{path}: truncated or not a safetensors file (its header is no object)")
    return header, 8 + length


def _places(path: Path, header: dict[str, Any], size: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Offset and shape of every tensor. All are in single precision and lie one after the other, and nothing follows."""
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape, span = (entry.get(key) if isinstance(entry, dict) else None for key in ("shape", "data_offsets"))
        if (
            not isinstance(shape, list)
            or not isinstance(span, list)
            or len(span) != 2
            or entry.get("dtype") != "F32"
            or not all(map(_is_count, [*shape, *span]))
            or span[1] - span[0] != 4 * math.prod(shape)
        ):
            raise ModelFileError(f"{path}: truncated or not a safetensors file (the entry of {name!r})")
        spans.append(tuple(span))
        places[name] = span[0], tuple(shape)
    end = 0
    for begin, last in sorted(spans):
        if begin != end:
            raise ModelFileError(f"{path}: truncated or not a safetensors file (its tensors leave gaps)")
        end = last
    if end != size:
        raise ModelFileError(f"{path}: truncated or not a safetensors file ({size} bytes where its tensors have {end})")
    return places


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, dict[str, Any], dict[str, tuple[int, tuple[int, ...]]], int]]:
    """A file, its description, where its tensors lie, and from where on."""
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            header, begin = _read_header(path, stream, size)
            metadata = header.get("__metadata__")
            description = check_description(path, metadata if isinstance(metadata, dict) else {})
            yield stream, description, _places(path, header, size - begin), begin
    except OSError as error:
        raise ModelFileError(f"{path}: it cannot be read ({error})") from error


def check_description(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The description in a file's metadata, or a ModelFileError: foreign, of a newer format, or incomplete."""
    text = metadata.get("deepcg")
    try:
        description = _parsed(text) if isinstance(text, str) else None
    except ValueError:
        description = None
    if not isinstance(description, dict):
        raise ModelFileError(f"{path}: a safetensors file, but not a deepcg model (no description in it)")
    version = description.get("version")
    if description.get("format") != FORMAT or type(version) is not int or not 1 <= version <= MODEL_FORMAT:
        raise ModelFileError(
            f"{path}: format {description.get('format')!r} version {version}; "
            f"this deepcg reads {FORMAT!r} up to version {MODEL_FORMAT}"
        )
    missing = [key for key in (*REQUIRED, "hash") if key not in description]
    if missing:
        raise ModelFileError(f"{path}: its description lacks {missing}")
    wrong = [key for key in ("architecture", "hash") if not isinstance(description[key], str)]
    wrong += [key for key in ("sizes", "training", "self_test") if not isinstance(description[key], dict)]
    if type(description["dimension"]) is not int or description["dimension"] not in (2, 3):
        wrong.append("dimension")
    if wrong:
        raise ModelFileError(f"{path}: its description has {wrong} of a wrong kind")
    return description


def moments(answer: np.ndarray, given: np.ndarray) -> list[float]:
    """What a self-test records of the answer to an input, both flat: enough to tell a network from any other."""
    product = answer @ given / answer.size
    return [float(answer.mean()), float(answer.std()), float(product), float(np.abs(answer).max())]


def check_self_test(path: str | os.PathLike, description: Mapping[str, Any], found: list[float]) -> None:
    """ModelFileError where the self-test finds something else than the description records."""
    answer = np.asarray(found)
    try:
        expected = np.asarray(description["self_test"].get("answer"), dtype=float)
    except (TypeError, ValueError, OverflowError):
        expected = np.empty(0)
    if expected.shape != answer.shape or not np.allclose(
        answer, expected, rtol=SELF_TEST_TOLERANCE, atol=SELF_TEST_TOLERANCE * np.abs(expected).max()
    ):
        raise ModelFileError(f"{path}: self-test failed: {answer} where {expected} was recorded")


def shipped() -> dict[str, Path]:
    """Names and paths of the models that come with the package, such as `dcdm-3d`."""
    folder = resources.files("deepcg.models")
    return {
        Path(str(entry)).stem: Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".safetensors")
    }


def resolve(model: str | os.PathLike, dimension: int) -> Path:
    """The file behind a shipped name (`dcdm` means `dcdm-2d` or `dcdm-3d`) or a path.

    Raises
    ------
    ModelFileError
        Neither a shipped name nor a file.
    """
    available = shipped()
    for name in (str(model), f"{model}-{dimension}d"):
        if name in available:
            return available[name]
    if Path(model).is_file():
        return Path(model)
    raise ModelFileError(f"model: {str(model)!r} is neither a shipped name ({', '.join(sorted(available))}) nor a file")
