"""The C ABI: the public headers stand alone, and what Python declares of them is what they say."""

from __future__ import annotations

import ast
import ctypes
import importlib
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import deepcg
from deepcg.native import constants, device, library
from tests.support.c_header import Function, Header, mismatch, parse, signature_mismatch

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "kernels" / "include"
HEADERS = ("deepcg.h", "deepcg_cuda.h")
HEADER = parse(*(INCLUDE / name for name in HEADERS))
PACKAGE = Path(deepcg.__file__).parent
SOURCES = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def structures() -> list[tuple[str, type[ctypes.Structure]]]:
    """The ctypes structures of package and tests with the C types that their docstrings name; DLPack's in device_array are not the kernels'."""
    structs = []
    for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "ctypes.Structure" for base in node.bases):
                name = re.match(r"`(dcg_\w+)`", ast.get_docstring(node) or "")
                assert name or path.name == "device_array.py", (
                    f"{path}: what is the C type of {node.name}? Its docstring has to say."
                )
                if name:
                    dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                    structs.append((name[1], getattr(importlib.import_module(dotted), node.name)))
    return structs


STRUCTURES = structures()
BY_NAME = dict(STRUCTURES)


class Declared:
    """In a library's place: keeps what is declared of each function."""

    def __init__(self):
        self.functions = {}

    def __getattr__(self, name):
        return self.functions.setdefault(name, SimpleNamespace(argtypes=None, restype=ctypes.c_int))


def declared() -> dict[str, SimpleNamespace]:
    made = Declared()
    library._declare(made)
    device._declare(made)
    return made.functions


DECLARED = declared()


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(("language", "standard"), [("c", "c99"), ("c", "c17"), ("c++", "c++11"), ("c++", "c++17")])
def test_a_header_stands_alone(name, language, standard, tmp_path):
    options = [f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", INCLUDE]
    source = tmp_path / "alone"
    source.write_text(f'#include "{name}"\n#include "{name}"\n')
    subprocess.run(["cc", "-x", language, *options, source], check=True)


def test_the_compiler_sees_what_the_parser_sees(tmp_path):
    """Values of constants, sizes of structs and places of their fields; and ctypes lays its structures out alike."""
    lines = [f'printf("%s %.17g\\n", "{name}", (double)({name}));' for name in HEADER.constants]
    for struct, fields in HEADER.structs.items():
        lines.append(f'printf("%s %zu\\n", "{struct}", sizeof({struct}));')
        lines += [
            f'printf("%s %zu\\n", "{struct}.{field}", offsetof({struct}, {field}));'
            f'printf("%s %zu\\n", "{struct}.{field}.size", sizeof((({struct} *)0)->{field}));'
            for field in fields
        ]
    source = tmp_path / "layout.c"
    includes = "".join(f'#include "{name}"\n' for name in HEADERS)
    source.write_text(
        f"{includes}#include <stddef.h>\n#include <stdio.h>\nint main(void) {{\n{chr(10).join(lines)}\nreturn 0;\n}}\n"
    )
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "-I", INCLUDE, "-o", tmp_path / "layout", source], check=True)
    run = subprocess.run([tmp_path / "layout"], capture_output=True, text=True, check=True)
    measured = {name: float(value) for name, value in map(str.split, run.stdout.splitlines())}

    assert {name: measured[name] for name in HEADER.constants} == HEADER.constants
    for name, kind in STRUCTURES:
        assert ctypes.sizeof(kind) == measured[name], name
        for field, *_ in kind._fields_:
            place = getattr(kind, field)
            assert (place.offset, place.size) == (measured[f"{name}.{field}"], measured[f"{name}.{field}.size"]), field


def faults(header: Header) -> list[str]:
    """Where the package's constants, structures and signatures are not those of a header."""
    ours = {f"DCG_{name}": value for name, value in vars(constants).items() if name.isupper()}
    ours |= {"DCG_ABI_VERSION": library.ABI_VERSION, "DCG_CUDA_ABI_VERSION": device.ABI_VERSION}
    mismatches = [f"{name}: {value} in Python" for name, value in ours.items() if header.constants.get(name) != value]
    for name, kind in STRUCTURES:
        expected, given = header.structs.get(name, {}), dict(field[:2] for field in kind._fields_)
        if list(expected) != list(given):
            mismatches.append(f"{name}: fields {list(given)} where C has {list(expected)}")
        else:
            mismatches += [
                f"{name}.{field}: {wrong}"
                for field in given
                if (wrong := mismatch(given[field], expected[field], BY_NAME))
            ]
    for name, function in DECLARED.items():
        arguments = () if function.argtypes is None else function.argtypes
        if name not in header.functions:
            mismatches.append(f"{name}: no such function")
        elif wrong := signature_mismatch(function.restype, arguments, header.functions[name], BY_NAME):
            mismatches.append(f"{name}: {wrong}")
    return mismatches


def test_python_declares_what_the_headers_declare():
    assert len(STRUCTURES) >= 3 and len(DECLARED) >= 25
    assert faults(HEADER) == []


def test_every_function_that_python_calls_is_declared():
    """ctypes would take any arguments for one that is not."""
    text = "\n".join(SOURCES.values())
    called = set(re.findall(r"[\"'.](dcg_\w+)[\"'(]", text))
    handles = set(re.findall(r"destroy\(self\._\w+, \"(\w+)\"", text)) | {"multilevel"}
    called |= {f"dcg_{what}_destroy" for what in handles}
    without_arguments = {name for name, function in HEADER.functions.items() if not function.parameters}
    assert len(called) > 20
    assert called <= set(HEADER.functions)
    assert called <= set(DECLARED) | without_arguments


BROKEN = {
    "a field that is missing": ("  int32_t local; ", " "),
    "fields in another order": ("  int32_t periodic;        /* bit 0", "  int32_t order; int32_t periodic; /* bit 0"),
    "a field of another type": ("  int32_t local; ", "  float local; "),
    "an array of another length": ("relaxation_table[DCG_STENCIL_TYPES]", "relaxation_table[DCG_HIDDEN]"),
    "another number": ("DCG_STENCIL_TYPES = 16", "DCG_STENCIL_TYPES = 17"),
    "another enumerator": ("DCG_OPEN = 2", "DCG_OPEN = 3"),
    "an argument more": ("dcg_dot(int64_t n, ", "dcg_dot(int64_t n, int64_t m, "),
    "an argument of another kind": ("dcg_dot(int64_t n, ", "dcg_dot(int32_t n, "),
    "another result": ("DCG_API int dcg_dot", "DCG_API double dcg_dot"),
}


@pytest.mark.parametrize("change", BROKEN)
def test_a_header_that_changed_alone_is_noticed(change, tmp_path):
    """The checks above find what they are there for."""
    text, (before, after) = (INCLUDE / "deepcg.h").read_text(), BROKEN[change]
    assert text.count(before) == 1
    (tmp_path / "deepcg.h").write_text(text.replace(before, after))
    changed = parse(tmp_path / "deepcg.h", INCLUDE / "deepcg_cuda.h")
    assert faults(changed)


def test_the_parser_knows_a_function_pointer():
    allreduce = HEADER.structs["dcg_ranks"]["allreduce"].function
    assert isinstance(allreduce, Function) and len(allreduce.parameters) == 3
