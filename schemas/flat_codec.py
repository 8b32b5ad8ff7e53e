"""Avro for flat records as straight-line Python: about three times as fast as walking the schema for each record.

Most records that travel are flat: texts, numbers, and either of them or null. For such a schema :func:`flat_encoder` and
:func:`flat_decoder` write one Python function, field by field, and compile it; for any other schema they return None, and ``avro_codec``
uses fastavro. What they write is the same bytes, and what they refuse is the same (``tests/schemas/test_flat_codec.py`` holds both
against fastavro).

The binary encoding (Avro 1.12, "Binary encoding"): a long is zigzag, seven bits a byte, lowest first; a text is its length as a long, then
UTF-8; a union is its branch as a long, then the value; a record is its fields, one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

_DOUBLE = struct.Struct("<d")
_SCALARS = frozenset({"string", "bytes", "long", "int", "double", "boolean"})


@cache
def _tables() -> tuple[list[bytes], list[bytes]]:
    """Seven bits a byte, for numbers of up to 14 bits: as the end of a number, and as two bytes after which more follow."""
    ends = [bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7)) for n in range(1 << 14)]
    return ends, [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]


def _long(number: int, bits: int = 64) -> bytes:
    """A long's bytes. Raises ``TypeError`` for what is no integer and ``OverflowError`` for what does not fit."""
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise OverflowError(f"{number} does not fit into {bits} bits")
    left = (number << 1) ^ (number >> 63)
    if 1 << 28 <= left < 1 << 42:  # a time in ms, up to 2039
        ends, more = _tables()
        return more[left & 16383] + more[left >> 14 & 16383] + ends[left >> 28]
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


def _int(number: int) -> bytes:
    return _long(number, 32)


def _read_long(value: bytes, at: int) -> tuple[int, int]:
    """The long at a place, and the place behind it. Raises ``IndexError`` where the value ends before it, ``ValueError`` where it is too long."""
    if value[at] > 127 and (high := value[at + 1]) < 128:  # the length of a longer text
        found = value[at] & 127 | high << 7
        return found >> 1 ^ -(found & 1), at + 2
    six = int.from_bytes(value[at : at + 6], "little")
    if six & 0x808080808080 == 0x008080808080:  # a time in ms
        found = six & 127 | six >> 1 & 127 << 7 | six >> 2 & 127 << 14 | six >> 3 & 127 << 21 | six >> 4 & 127 << 28 | six >> 5 & 127 << 35
        return found >> 1 ^ -(found & 1), at + 6
    found = shift = 0
    while True:
        byte = value[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
    if found >> 64:
        raise ValueError("a number of more than 64 bits")
    return found >> 1 ^ -(found & 1), at


def _read_int(value: bytes, at: int) -> tuple[int, int]:
    number, at = _read_long(value, at)
    if not -(1 << 31) <= number < 1 << 31:
        raise ValueError(f"{number} is no int")
    return number, at


def _read_length(value: bytes, at: int) -> tuple[int, int]:
    length, at = _read_long(value, at)
    if length < 0:
        raise ValueError("a negative length")
    return length, at


def _fields(schema: Any) -> list[tuple[str, str, int | None]] | None:
    """Name, type and null's branch of each field (None where it has none); None where the schema is not flat."""
    found = []
    for field in schema["fields"]:
        kind, null = field["type"], None
        if isinstance(kind, list):
            if len(kind) != 2 or "null" not in kind:
                return None
            null = kind.index("null")
            kind = kind[1 - null]
        if kind not in _SCALARS if isinstance(kind, str) else True:
            return None
        found.append((field["name"], kind, null))
    return found


def _compiled(source: list[str], space: dict[str, Any], name: str) -> Callable[..., Any]:
    exec(compile("\n".join(source), f"<flat codec of {name}>", "exec"), space)
    made: Callable[..., Any] = space["code"]
    return made


def flat_encoder(schema: Any) -> Callable[[Any], bytes] | None:
    """A function from records (anything with the schema's fields as attributes) to bodies, or None where the schema is not flat.

    It raises whatever a value that does not fit leads to: ``TypeError``, ``ValueError``, ``OverflowError``, ``AttributeError``, ``struct.error``.
    """
    fields = _fields(schema)
    if fields is None:
        return None
    space: dict[str, Any] = {"END": _tables()[0], "long": _long, "int_": _int, "double": _DOUBLE.pack}
    lines = ["def code(record):"]
    names: list[str] = []

    def text(name: str, kind: str, indent: str) -> list[str]:
        encoded = f"{name} = {name}.encode()" if kind == "string" else f"{name} = bytes(memoryview({name}))"
        length = f"{name}_n = END[n << 1] if (n := len({name})) < 8192 else long(n)"
        return [f"{indent}{encoded}", f"{indent}{length}"]

    for number, (field, kind, null) in enumerate(fields):
        name, indent = f"f{number}", "    "
        lines.append(f"    {name} = record.{field}")
        if null is not None:
            lines += [f"    if {name} is None:", f"        {name}_u = {bytes((null << 1,))!r}; {name} = b''", "    else:"]
            indent, names = "        ", [*names, f"{name}_u"]
            lines.append(f"{indent}{name}_u = {bytes((1 - null << 1,))!r}")
        if kind in ("string", "bytes"):
            if null is not None:
                lines[-3] += f"; {name}_n = b''"
            lines += text(name, kind, indent)
            names.append(f"{name}_n")
        elif kind in ("long", "int"):
            lines.append(f"{indent}{name} = END[{name} << 1] if 0 <= {name} < 8192 else {'long' if kind == 'long' else 'int_'}({name})")
        elif kind == "double":
            lines.append(f"{indent}{name} = double({name})")
        else:
            lines += [f"{indent}if {name} is not True and {name} is not False: raise TypeError('not a boolean')"]
            lines += [f"{indent}{name} = b'\\1' if {name} else b'\\0'"]
        names.append(name)
    lines.append(f"    return b''.join(({', '.join(names)},))")
    return _compiled(lines, space, schema["name"])


def flat_decoder(schema: Any, thawed: type[Any], kind_of: type[Any]) -> Callable[[bytes], Any] | None:
    """A function from framed values (five bytes before the body) to new objects of ``kind_of``, or None where the schema is not flat.

    An object is made as one of ``thawed``, whose attributes can be set, and becomes one of ``kind_of``, which has the same layout. Bytes that
    are no such record raise ``ValueError`` or ``IndexError``.
    """
    fields = _fields(schema)
    if fields is None:
        return None
    space: dict[str, Any] = {
        "read_long": _read_long, "read_int": _read_int, "read_length": _read_length, "double": _DOUBLE.unpack_from,
        "new": object.__new__, "thawed": thawed, "kind": kind_of,
    }  # fmt: skip
    lines = ["def code(v):", "    i = 5"]
    for number, (_, kind, null) in enumerate(fields):
        name, indent = f"f{number}", "    "
        if null is not None:
            lines += [
                f"    if v[i] == {null << 1}:",
                f"        i += 1; {name} = None",
                f"    elif v[i] == {(1 - null) << 1}:",
                "        i += 1",
            ]
            indent = "        "
        if kind in ("string", "bytes"):
            # One test for both exceptions: a length of more bytes, and a negative one.
            lines += [f"{indent}n = v[i]", f"{indent}if n & 129: n, i = read_length(v, i)", f"{indent}else: n >>= 1; i += 1"]
            lines += [f"{indent}{name} = v[i:i + n]{'.decode()' if kind == 'string' else ''}", f"{indent}i += n"]
        elif kind in ("long", "int"):
            lines += [f"{indent}n = v[i]", f"{indent}if n & 129: {name}, i = read_{kind}(v, i)", f"{indent}else: {name} = n >> 1; i += 1"]
        elif kind == "double":
            lines += [f"{indent}if i + 8 > len(v): raise IndexError('ends within a double')", f"{indent}{name}, = double(v, i); i += 8"]
        else:
            lines += [f"{indent}if v[i] > 1: raise ValueError('not a boolean')", f"{indent}{name} = v[i] == 1; i += 1"]
        if null is not None:
            lines.append("    else: raise ValueError('no such branch of a union')")
    lines += ["    if i != len(v): raise ValueError(f'{len(v) - i} bytes left over after the record')", "    made = new(thawed)"]
    lines += [f"    made.{field} = f{number}" for number, (field, _, _) in enumerate(fields)]
    lines += ["    made.__class__ = kind", "    return made"]
    return _compiled(lines, space, schema["name"])
