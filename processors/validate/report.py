"""The validation report: one HTML page that needs nothing else, and shows recording and application side by side.

Everything in it comes from somebody else: it is escaped, pictures are embedded as data, and the page's own policy allows no script.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processors.toolchain.findings import Finding

_STYLE = """
:root { color-scheme: light; --line: #d8dde6; --good: #0b6b3a; --bad: #a3142a; --soft: #5a6474; }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1400px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; color: #1a212c; background: #fff }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 18px; margin: 32px 0 8px } h3 { font-size: 15px; margin: 20px 0 6px }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--soft); font-weight: 600 } code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere }
.ok { color: var(--good); font-weight: 600 } .no { color: var(--bad); font-weight: 600 } .soft { color: var(--soft) }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px } figure { margin: 0 } figcaption { color: var(--soft); font-size: 13px }
img { display: block; width: 100%; border: 1px solid var(--line) }
"""


@dataclass(frozen=True)
class Pair:
    """One step: what the recording shows and what the application shows. Pictures are PNG or JPEG bytes."""

    title: str
    ok: bool
    notes: Sequence[str]
    recording: bytes | None
    application: bytes | None


def page(
    state: str,
    message: str,
    gates: Sequence[tuple[str, bool]],
    scores: Mapping[str, float],
    findings: Sequence[Finding],
    pairs: Sequence[Pair],
) -> bytes:
    """The page as UTF-8. The same arguments give the same bytes."""
    good = state == "validated"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Validation report</title>',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>',
        f'<h1>Validation report: <span class="{"ok" if good else "no"}">{_text(state)}</span></h1><p>{_text(message)}</p>',
        "<h2>Gates</h2><table><thead><tr><th>Gate</th><th>Result</th></tr></thead><tbody>",
        *(f"<tr><td>{_text(gate)}</td><td>{_mark(ok)}</td></tr>" for gate, ok in gates),
        "</tbody></table>",
    ]
    if scores:
        parts += ["<h2>Scores</h2><table><thead><tr><th>Measure</th><th>Value</th></tr></thead><tbody>"]
        parts += [f"<tr><td>{_text(name)}</td><td>{value:.4f}</td></tr>" for name, value in sorted(scores.items())]
        parts += ["</tbody></table>"]
    parts += [f"<h2>Findings ({len(findings)})</h2>"]
    if findings:
        parts += ["<table><thead><tr><th>Severity</th><th>Rule</th><th>What</th><th>Where</th></tr></thead><tbody>"]
        parts += [_row(finding) for finding in findings]
        parts += ["</tbody></table>"]
    else:
        parts += ["<p class=soft>None.</p>"]
    if pairs:
        parts += ["<h2>Recording and application, step by step</h2>"]
        parts += [_pair(pair) for pair in pairs]
    parts += ["</body></html>"]
    return "\n".join(parts).encode()


def _text(value: object) -> str:
    return html.escape(str(value).encode("utf-8", "replace").decode())


def _mark(ok: bool) -> str:
    return '<span class="ok">passed</span>' if ok else '<span class="no">failed</span>'


def _row(finding: Finding) -> str:
    where = f"{finding.file or ''}{f':{finding.line}' if finding.line else ''}"
    evidence = f"<br><code class=soft>{_text(finding.evidence)[:1500]}</code>" if finding.evidence else ""
    return (
        f'<tr><td class="{"no" if finding.severity == "error" else "soft"}">{finding.severity}</td><td><code>{_text(finding.rule)}</code></td>'
        f"<td>{_text(finding.message)}{evidence}</td><td><code>{_text(where)}</code></td></tr>"
    )


def _pair(pair: Pair) -> str:
    notes = "".join(f"<li>{_text(note)}</li>" for note in pair.notes)
    sides = "".join(_figure(caption, picture) for caption, picture in (("Recording", pair.recording), ("Application", pair.application)))
    return f"<h3>{_text(pair.title)} {_mark(pair.ok)}</h3>{f'<ul>{notes}</ul>' if notes else ''}<div class=pair>{sides}</div>"


def _figure(caption: str, picture: bytes | None) -> str:
    if picture is None:
        return f"<figure><figcaption>{caption}: no picture</figcaption></figure>"
    kind = "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
    data = base64.b64encode(picture).decode()
    return f'<figure><figcaption>{caption}</figcaption><img alt="{caption}" src="data:{kind};base64,{data}"></figure>'
