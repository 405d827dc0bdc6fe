"""A parser of the kernels' C headers: constants, enums, structs and functions, so that tests can hold Python's declarations to them.

It knows the C of kernels/include and no more: `#define NAME number`, enums, `typedef struct`, function pointers as fields, prototypes.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from pathlib import Path

SCALARS: dict[str, type] = {
    "char": ctypes.c_char,
    "int": ctypes.c_int,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint8_t": ctypes.c_uint8,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
}
NAME = r"[A-Za-z_]\w*"


@dataclass(frozen=True)
class Function:
    """A function's result and parameters; also what a function pointer points to."""

    result: Type
    parameters: tuple[Type, ...]


@dataclass(frozen=True)
class Type:
    """A C type: `base`, behind so many pointers, in an array of these dimensions; or a pointer to a function."""

    base: str
    pointers: int = 0
    dims: tuple[int, ...] = ()
    function: Function | None = None

    def decayed(self) -> Type:
        """As a parameter: an array is a pointer to its first element."""
        return Type(self.base, self.pointers + 1, self.dims[1:], self.function) if self.dims else self


@dataclass
class Header:
    """What a header declares, by name. `fields` keep their order."""

    constants: dict[str, int | float] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    structs: dict[str, dict[str, Type]] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)


def parse(*paths: Path) -> Header:
    """Headers read one after the other, as a file that includes them in this order sees them."""
    header = Header()
    for path in paths:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.S)
        text = re.sub(r"#ifdef __cplusplus\n.*?#endif", " ", text, flags=re.S)
        for name, value in re.findall(rf"^#define ({NAME})[ \t]+(\S.*)$", text, flags=re.M):
            if re.fullmatch(r"[-+]?[\d.][-+.\w]*", value.strip()):
                header.constants[name] = _number(value.strip())
        text = re.sub(r"^#.*$", " ", text, flags=re.M).replace("DCG_API", " ")
        for declaration in _split(text, ";"):
            _declare(header, " ".join(declaration.split()))
    return header


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text.rstrip("f"))


def _declare(header: Header, text: str) -> None:
    if match := re.fullmatch(rf"(?:typedef )?enum ?({NAME})? ?\{{(.*)\}} ?({NAME})?", text):
        values: dict[str, int] = {}
        for entry in _split(match[2], ","):
            name, _, value = (part.strip() for part in entry.partition("="))
            values[name] = _constant(header, value) if value else max(values.values(), default=-1) + 1
            header.constants[name] = values[name]
        header.enums[match[1] or match[3] or next(iter(values))] = values
    elif match := re.fullmatch(rf"typedef struct ?(?:{NAME})? ?\{{(.*)\}} ?({NAME})", text):
        fields = header.structs[match[2]] = {}
        for entry in _split(match[1], ";"):
            fields.update(_members(header, entry.strip()))
    elif re.fullmatch(rf"typedef struct ({NAME}) \1", text):
        pass  # opaque
    elif match := re.fullmatch(rf"([^(]*?[ *])({NAME})\((.*)\)", text):
        header.functions[match[2]] = _function(header, match[1], match[3])
    else:
        raise ValueError(f"a declaration that this parser does not know: {text!r}")


def _constant(header: Header, text: str) -> int:
    if re.fullmatch(NAME, text):
        return int(header.constants[text])
    if shifted := re.fullmatch(r"(\d+) ?<< ?(\d+)", text):
        return int(shifted[1]) << int(shifted[2])
    return int(text, 0)


def _members(header: Header, text: str) -> dict[str, Type]:
    """The members of one line of a struct, which may declare several of a type."""
    if pointer := re.fullmatch(rf"(.*?)\(\*({NAME})\)\((.*)\)", text):
        return {pointer[2]: Type("", 1, (), _function(header, pointer[1], pointer[3]))}
    first, *others = _split(text, ",")
    base, declarator = _base(first)
    return dict(_declarator(header, base, d) for d in (declarator, *others))


def _base(text: str) -> tuple[str, str]:
    """The word that names the type, and what follows it."""
    match = re.match(rf"\s*(?:(?:const|struct|unsigned)\s+)*({NAME})", text)
    assert match, text
    return match[1], text[match.end() :]


def _declarator(header: Header, base: str, text: str) -> tuple[str, Type]:
    words = re.sub(r"\bconst\b", " ", text)
    names = re.findall(NAME, re.sub(r"\[.*", "", words))
    dims = tuple(_constant(header, n.strip()) if n.strip() else 0 for n in re.findall(r"\[([^\]]*)\]", words))
    return (names or [""])[0], Type(base, words.count("*"), dims)


def _function(header: Header, result: str, parameters: str) -> Function:
    base, rest = _base(result)
    given = [] if parameters.strip() in ("void", "") else _split(parameters, ",")
    members = (next(iter(_members(header, one.strip()).values())) for one in given)
    return Function(Type(base, rest.count("*")), tuple(one.decayed() for one in members))


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that stand in no bracket; empty ones are left out."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "({[") - (letter in ")}]")
        if letter == separator and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def mismatch(given: type | None, expected: Type, structs: dict[str, type[ctypes.Structure]]) -> str:
    """What is wrong with a ctypes type where C has `expected`; empty where they agree. An untyped pointer stands for any pointer.

    Parameters
    ----------
    given : None is C's void
    structs : the ctypes structures by the name of their C type
    """
    wrong = f"{getattr(given, '__name__', given)} where C has {expected}"
    if expected.dims:
        if not (isinstance(given, type) and issubclass(given, ctypes.Array) and given._length_ == expected.dims[0]):
            return wrong
        inner = Type(expected.base, expected.pointers, expected.dims[1:], expected.function)
        return mismatch(given._type_, inner, structs)
    if expected.pointers:
        if given is ctypes.c_void_p or (given is ctypes.c_char_p and (expected.base, expected.pointers) == ("char", 1)):
            return ""
        if expected.function and hasattr(given, "_argtypes_"):
            return signature_mismatch(given._restype_, given._argtypes_, expected.function, structs)
        if isinstance(given, type) and issubclass(given, ctypes._Pointer):
            return mismatch(given._type_, Type(expected.base, expected.pointers - 1), structs)
        return wrong
    if expected.base == "void":
        return "" if given is None else wrong
    return "" if given is SCALARS.get(expected.base, structs.get(expected.base)) and given is not None else wrong


def signature_mismatch(
    result: type | None, arguments: tuple[type, ...], expected: Function, structs: dict[str, type[ctypes.Structure]]
) -> str:
    """The same for a function's result and arguments."""
    if len(arguments) != len(expected.parameters):
        return f"{len(arguments)} arguments where C has {len(expected.parameters)}"
    pairs = zip((result, *arguments), (expected.result, *expected.parameters), strict=True)
    return "; ".join(filter(None, (mismatch(a, b, structs) for a, b in pairs)))
