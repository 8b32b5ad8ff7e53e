"""Keys of a US keyboard, as ``Input.dispatchKeyEvent`` takes them; names are those of ``KeyboardEvent.key``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """``text`` is what it writes, empty where it writes nothing."""

    key: str
    code: str
    number: int
    text: str = ""


MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
"""Bits of the protocol's ``modifiers``."""

_NAMED = {
    "Backspace": 8, "Tab": 9, "Enter": 13, "Shift": 16, "Control": 17, "Alt": 18, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Insert": 45, "Delete": 46, "Meta": 91, **{f"F{i}": 111 + i for i in range(1, 13)},
}  # fmt: skip
_CODES = {name: f"{name}Left" for name in MODIFIERS}
_MARKS = {";:": ("Semicolon", 186), "=+": ("Equal", 187), ",<": ("Comma", 188), "-_": ("Minus", 189), ".>": ("Period", 190), "/?": ("Slash", 191),
          "`~": ("Backquote", 192), "[{": ("BracketLeft", 219), "\\|": ("Backslash", 220), "]}": ("BracketRight", 221), "'\"": ("Quote", 222)}  # fmt: skip
_SHIFTED_DIGITS = ")!@#$%^&*("


def _layout() -> dict[str, Key]:
    keys = {name: Key(name, _CODES.get(name, name), number) for name, number in _NAMED.items()}
    keys["Enter"] = Key("Enter", "Enter", 13, "\r")
    keys["\n"] = keys["\r"] = keys["Enter"]
    keys[" "] = Key(" ", "Space", 32, " ")
    for number in range(65, 91):
        for letter in (chr(number), chr(number).lower()):
            keys[letter] = Key(letter, f"Key{chr(number)}", number, letter)
    for digit, shifted in enumerate(_SHIFTED_DIGITS):
        for mark in (str(digit), shifted):
            keys[mark] = Key(mark, f"Digit{digit}", 48 + digit, mark)
    for marks, (code, number) in _MARKS.items():
        for mark in marks:
            keys[mark] = Key(mark, code, number, mark)
    return keys


KEYS = _layout()


def chord(said: str) -> list[Key]:
    """The keys of ``a``, ``Enter`` or ``Control+Shift+A``, modifiers first. Raises ``KeyError`` for one that there is not."""
    *held, last = [said] if said in KEYS else said.split("+")
    for name in held:
        MODIFIERS[name]
    return [KEYS[name] for name in (*held, last)]
