"""Deterministic repairs of source files that a model wrote: what has one meaning and needs no judgement.

They run before the first build, and once more over what the type checker said. None of them makes a file do something it did not say: what reaches
for the network, runs text as code or suppresses a check stays as it is and is rejected.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from processors.toolchain.findings import Finding

_FENCE = re.compile(r"^\s*```[\w-]*[^\S\n]*\n(.*?)\n?```\s*$", re.S)
_HOOKS = (
    "useState", "useEffect", "useMemo", "useCallback", "useRef", "useReducer", "useContext", "useId", "useLayoutEffect", "useTransition", "useDeferredValue",
    "createContext", "Fragment", "memo", "forwardRef", "Suspense", "lazy", "startTransition",
)  # fmt: skip
_TYPES = (
    "ReactNode",
    "ReactElement",
    "FormEvent",
    "ChangeEvent",
    "MouseEvent",
    "KeyboardEvent",
    "CSSProperties",
    "Dispatch",
    "SetStateAction",
    "RefObject",
)
_ATTRIBUTES = {"class": "className", "for": "htmlFor", "tabindex": "tabIndex", "readonly": "readOnly", "maxlength": "maxLength", "onclick": "onClick", "onchange": "onChange", "onsubmit": "onSubmit", "colspan": "colSpan", "rowspan": "rowSpan", "autocomplete": "autoComplete"}  # fmt: skip
_ATTRIBUTE = re.compile(rf"(<[A-Za-z][\w.]*(?:\s[^<>]*?)?\s)({'|'.join(_ATTRIBUTES)})(?==)")
_STYLE_TEXT = re.compile(r"\bstyle=\"([^\"{}]*)\"")
_NO_NAME = re.compile(r"^Cannot find name '(\w+)'")
_EXPORT = re.compile(r"^export\s+(?:default\s+)?(?:async\s+)?(?:function|const|class|interface|type|enum)\s+(\w+)", re.M)
_IMPORTED = re.compile(r"\bimport\s+(?:type\s+)?(?:(\w+)\s*,?\s*)?(?:\{([^}]*)\}|\*\s+as\s+(\w+))?\s*from\s*['\"]([^'\"]+)['\"]")


def fix(files: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The files with what is plainly meant, and a code for each kind of fix."""
    fixed: dict[str, str] = {}
    done: list[str] = []
    for path, text in files.items():
        before = text
        if match := _FENCE.match(text):
            text = match[1] + "\n"
            done.append("fence")
        text = text.replace("\r\n", "\n").lstrip("\ufeff")
        if path.endswith(".tsx"):
            while (again := _ATTRIBUTE.sub(lambda m: m[1] + _ATTRIBUTES[m[2]], text)) != text:
                text = again
                done.append("attribute")
            if (again := _STYLE_TEXT.sub(lambda m: f"style={_style(m[1])}", text)) != text:
                text = again
                done.append("style")
        if path.endswith((".ts", ".tsx")) and (missing := _unimported(text)):
            text = _with_imports(text, missing)
            done.append("import")
        fixed[path] = text if text != before else before
    return fixed, list(dict.fromkeys(done))


def fix_findings(files: Mapping[str, str], own: Iterable[str], findings: Iterable[Finding]) -> tuple[dict[str, str], list[str]]:
    """What the type checker's findings say plainly how to fix, in the files ``own``: a name that exactly one other file exports.

    ``files`` are all of the project's sources. Returns the files changed.
    """
    mine = set(own)
    exports: dict[str, set[str]] = {}
    for path, text in files.items():
        if path.endswith((".ts", ".tsx")):
            for name in _EXPORT.findall(text):
                exports.setdefault(name, set()).add(path)
    changed: dict[str, str] = {}
    for finding in findings:
        match = _NO_NAME.match(finding.message)
        if finding.rule not in ("TS2304", "TS2552") or not match or finding.file not in mine:
            continue
        homes = exports.get(match[1], set()) - {finding.file}
        if len(homes) == 1:
            text = changed.get(finding.file, files[finding.file])
            line = f"import {{ {match[1]} }} from '{_relative(finding.file, next(iter(homes)))}';\n"
            if line not in text:
                changed[finding.file] = line + text
    return changed, ["import"] if changed else []


def _unimported(text: str) -> list[str]:
    """Names of React's that are used and neither imported nor declared."""
    known: set[str] = set()
    for default, several, namespace, _ in _IMPORTED.findall(text):
        known |= {default, namespace} | {part.split(" as ")[-1].replace("type ", "").strip() for part in several.split(",")}
    declared = set(re.findall(r"\b(?:function|const|let|var|class|interface|type)\s+(\w+)", text))
    plain = re.sub(r"/\*.*?\*/|//[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", " ", text, flags=re.S)
    used = [name for name in _HOOKS if re.search(rf"(?<![\w.$]){name}\s*(?:\(|<|\b(?=\s*>))", plain)]
    used += [f"type {name}" for name in _TYPES if re.search(rf"[:<|,]\s*{name}\b", plain)]
    return [name for name in used if name.removeprefix("type ") not in known | declared]


def _with_imports(text: str, names: list[str]) -> str:
    return f"import {{ {', '.join(names)} }} from 'react';\n{text}"


def _style(text: str) -> str:
    """A style attribute as React takes it."""
    members = []
    for declaration in text.split(";"):
        name, colon, value = declaration.partition(":")
        if colon and name.strip():
            key = re.sub(r"-(\w)", lambda m: m[1].upper(), name.strip())
            members.append(f"{key}: '{value.strip().replace(chr(39), chr(34))}'")
    return "{{ " + ", ".join(members) + " }}"


def _relative(source: str, target: str) -> str:
    path = posixpath.relpath(re.sub(r"(/index)?\.tsx?$", "", target), posixpath.dirname(source))
    return path if path.startswith(".") else f"./{path}"
