"""Tokens of JavaScript as esbuild prints it: enough to tell code from text, which is all a rule needs.

Only for esbuild's own output: comments and types are gone, names hold no escapes, one statement stands on a line, and a division has a
space on either side while a regular expression that follows a value begins a line. On these guarantees rests where a slash
begins a regular expression, the one thing that cannot be told locally in JavaScript.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["name", "string", "template", "regex", "number", "mark"]

_NAME = re.compile(r"[A-Za-z_$#\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*")
_NUMBER = re.compile(r"\d[\w.]*|\.\d[\w.]*")
_SPACE = re.compile(r"[^\S\n]+")
_REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[A-Za-z]*")
_MARK = re.compile(r"=>|\.\.\.|\?\.|[=!]==?|&&=?|\|\|=?|\?\?=?|[-+*/%&|^<>]=|\+\+|--|\*\*=?|<<=?|>>>?=?|.", re.S)
_OPERATOR_WORDS = frozenset(
    [
        "return",
        "typeof",
        "case",
        "in",
        "of",
        "delete",
        "void",
        "throw",
        "new",
        "else",
        "do",
        "await",
        "yield",
        "instanceof",
        "default",
        "extends",
    ]
)
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\r\n|.)", re.S)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}


class LexError(ValueError):
    """The text is not JavaScript as esbuild prints it."""


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is a string's value, a template's chunk, and else the token as written."""

    kind: Kind
    text: str


def tokens(source: str) -> list[Token]:
    """All tokens in order. Raises :class:`LexError` where a string, template or regular expression does not end."""
    return list(_tokens(source))


def _tokens(source: str) -> Iterator[Token]:
    at = 0
    braces: list[bool] = []  # for each open brace: whether a template goes on after it
    previous: Token | None = None
    newline = True
    while at < len(source):
        char = source[at]
        if char == "\n":
            newline, at = True, at + 1
            continue
        if match := _SPACE.match(source, at):
            at = match.end()
            continue
        if source.startswith("//", at):
            at = _end(source, "\n", at)
            continue
        if source.startswith("/*", at):
            at = _end(source, "*/", at) + 2
            continue
        token: Token
        if char in "\"'":
            token, at = _string(source, at)
        elif char == "`":
            token, at, opened = _template(source, at + 1)
            if opened:
                braces.append(True)
        elif char == "}" and braces and braces.pop():
            yield Token("mark", "}")
            token, at, opened = _template(source, at + 1)
            if opened:
                braces.append(True)
        elif char == "/" and not _divides(source, at, previous, newline):
            found = _REGEX.match(source, at)
            if not found:
                raise LexError(f"a regular expression does not end: {source[at : at + 40]!r}")
            token, at = Token("regex", found[0]), found.end()
        elif match := _NUMBER.match(source, at):
            token, at = Token("number", match[0]), match.end()
        elif match := _NAME.match(source, at):
            token, at = Token("name", match[0]), match.end()
        else:
            match = _MARK.match(source, at)
            assert match
            token, at = Token("mark", match[0]), match.end()
            if token.text == "{":
                braces.append(False)
        newline = False
        previous = token
        yield token
    if any(braces):
        raise LexError("a template does not end")


def _divides(source: str, at: int, previous: Token | None, newline: bool) -> bool:
    if previous is None or newline:
        return False
    value = previous.kind in ("number", "string", "template", "regex") or previous.text in (")", "]", "}")
    value = value or (previous.kind == "name" and previous.text not in _OPERATOR_WORDS)
    return value and (source[at + 1 : at + 2] in (" ", "=", "\n"))


def _end(source: str, mark: str, at: int) -> int:
    end = source.find(mark, at)
    return len(source) if end < 0 else end


def _string(source: str, at: int) -> tuple[Token, int]:
    quote, begin = source[at], at + 1
    at = begin
    while at < len(source) and source[at] != quote:
        at += 2 if source[at] == "\\" else 1
    if at >= len(source):
        raise LexError("a string does not end")
    return Token("string", _unescape(source[begin:at])), at + 1


def _template(source: str, at: int) -> tuple[Token, int, bool]:
    """The chunk from ``at`` up to the closing backtick, or to ``${`` (then True)."""
    begin = at
    while at < len(source):
        if source[at] == "\\":
            at += 2
        elif source[at] == "`":
            return Token("template", _unescape(source[begin:at])), at + 1, False
        elif source.startswith("${", at):
            return Token("template", _unescape(source[begin:at])), at + 2, True
        else:
            at += 1
    raise LexError("a template does not end")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text

    def one(match: re.Match[str]) -> str:
        body = match[1]
        if body.startswith("u{"):
            return chr(min(int(body[2:-1], 16), 0x10FFFF))
        if body[0] in "ux" and len(body) > 1:
            return chr(int(body[1:], 16))
        return _SIMPLE.get(body, body)

    return _ESCAPE.sub(one, text)
