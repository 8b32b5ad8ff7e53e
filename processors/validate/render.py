"""Gate ``render``: the built application opens, alone and without network, and shows something without complaint."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, cast

from processors.toolchain.browser import Log, Opened, Script
from processors.toolchain.findings import Finding
from processors.validate.policy import Impact, ValidationPolicy

GATE = "render"

SNAPSHOT = resources.files(__package__).joinpath("snapshot.js").read_text()
"""JavaScript; gives {url, title, texts: [{text, box}], elements: [{kind, text, box}], extra_texts: [{text, box, source}]}."""

_SETTLED = """
({ quiet, most }) => new Promise(done => {
  let timer = setTimeout(end, quiet);
  const again = () => { clearTimeout(timer); timer = setTimeout(end, quiet); };
  const observer = new MutationObserver(again);
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  document.addEventListener('scroll', again, true);
  const last = setTimeout(end, most);
  function end() { observer.disconnect(); document.removeEventListener('scroll', again, true); clearTimeout(timer); clearTimeout(last); document.fonts.ready.then(() => requestAnimationFrame(() => done())); }
})
"""
_AXE = """
async () => {
  const result = await axe.run(document, { resultTypes: ['violations'], elementRef: false,
    runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] } });
  return result.violations.map(v => ({ rule: v.id, impact: v.impact, help: v.help, count: v.nodes.length,
    nodes: v.nodes.slice(0, 5).map(n => n.target.join(' ').slice(0, 200)) }));
}
"""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_IMPACTS: Sequence[Impact] = ("minor", "moderate", "serious", "critical")
# What a recording's colours decide is the recording's: a faithful copy of low contrast is no fault of the code.
_NEVER_REJECTS = frozenset({"color-contrast"})


@dataclass(frozen=True)
class Look:
    """What one screen shows: the snapshot's texts, elements and extra texts, and the picture of it (PNG)."""

    snapshot: dict[str, Any]
    picture: bytes


async def settle(opened: Opened, quiet_ms: int = 60, most_ms: int = 1500, unseen: bool = False) -> None:
    """Wait until nothing in the document changed or scrolled for ``quiet_ms``, its fonts are there and a frame was made; at most ``most_ms``.
    ``unseen``: the frames are not painted (:meth:`Page.watch`)."""
    await opened.page.watch(_SETTLED, {"quiet": quiet_ms, "most": most_ms}, unseen=unseen)


async def read(opened: Opened) -> dict[str, Any]:
    """The snapshot of what shows now."""
    return cast("dict[str, Any]", await opened.page.ask(SNAPSHOT))


def plain(source: str) -> str:
    """JavaScript whose strings and patterns hold characters beyond ASCII, with those escaped: the engine then holds it in half the memory."""
    return _BEYOND_ASCII.sub(
        lambda c: "".join(f"\\u{unit:04x}" for unit in struct.unpack("<2H" if ord(c[0]) > 0xFFFF else "<H", c[0].encode("utf-16-le"))),
        source,
    )


async def accessibility(opened: Opened, axe: Script, policy: ValidationPolicy) -> list[Finding]:
    """axe-core's violations of WCAG 2.1 A and AA on the screen that shows now."""
    await opened.page.add(axe)
    found = []
    for violation in sorted(await opened.page.ask(_AXE), key=lambda v: str(v["rule"])):
        impact = violation["impact"] or "minor"
        grave = _IMPACTS.index(impact) >= _IMPACTS.index(policy.accessibility) and violation["rule"] not in _NEVER_REJECTS
        evidence = {"impact": impact, "count": violation["count"], "nodes": violation["nodes"]}
        found.append(
            Finding(
                GATE,
                f"render.axe.{violation['rule']}",
                f"{violation['help']} ({violation['count']}x)",
                severity="error" if grave else "warning",
                evidence=evidence,
            )
        )
    return found


def complaints(log: Log) -> list[Finding]:
    """What the page did that it should not have."""
    found = []
    for rule, said, entries in (
        ("crash", "the page crashed", ["the renderer process ended"] if log.crashed else []),
        ("exception", "uncaught exception", log.exceptions),
        ("blocked", "stopped by the page's policy", log.blocked),
        ("console", "console error", log.console),
        ("external", "asked for an address elsewhere", log.external),
        ("failed", "asked for a file that is not there", log.failed),
        ("popup", "opened another window", log.popups),
    ):
        found += [Finding(GATE, f"render.{rule}", f"{said}: {entry}") for entry in entries]
    return found


def emptiness(snapshot: dict[str, Any]) -> list[Finding]:
    """A finding where the screen shows nothing at all."""
    if snapshot["texts"] or snapshot["elements"]:
        return []
    return [Finding(GATE, "render.empty", "the first screen shows neither text nor a control")]
