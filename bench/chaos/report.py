"""Rounds as tables: for a terminal, and in Markdown for ``docs/RELIABILITY.md`` (``python -m bench.chaos --report FILE...``)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.chaos.count import CHECKS
from bench.chaos.plan import KINDS

Result = dict[str, Any]


def read(files: Iterable[Path]) -> list[Result]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """All rounds in one."""
    off: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for r in results:
        off.update(r["off"])
        kinds.update(r["by_kind"])
        causes.update(r["recovery"].get("lost_s_by_cause", {}))
    return {
        "rounds": len(results), "seeds": [r["seed"] for r in results], "faults": sum(r["faults"] for r in results), "by_kind": dict(kinds),
        "submitted": sum(r["submitted"] for r in results), "off": dict(off), "exact": all(r["exact"] for r in results),
        "wall_s": round(sum(r["recovery"].get("wall_s", 0) for r in results)), "lost_s": sum(causes.values()), "lost_s_by_cause": dict(causes.most_common()),
        "unexplained_s": sum(r["recovery"].get("unexplained_s", 0) for r in results),
    }  # fmt: skip


def text(results: Sequence[Result]) -> str:
    lines = [
        f"{'seed':>6} {'faults':>6} {'requests':>8} {'validated':>9} {'dead':>5} {'off':>4} {'lost s':>6} {'of s':>6} {'p50 s':>6} {'max s':>6}"
    ]
    for r in results:
        at = r["recovery"]
        lines.append(
            f"{r['seed']:>6} {r['faults']:>6} {r['submitted']:>8} {r['verdicts'].get('validated', 0):>9} {sum(r['dead_letters'].values()):>5} "
            f"{sum(r['off'].values()):>4} {at['lost_s']:>6} {at['wall_s']:>6} {at['latency_s']['p50']:>6} {at['latency_s']['max']:>6}"
        )
    for r in results:
        for check, examples in r["examples"].items():
            lines.append(f"seed {r['seed']}: {check} {r['off'][check]} ({CHECKS[check]})")
            lines += [f"    {example}" for example in examples]
    return "\n".join(lines)


def markdown(results: Sequence[Result]) -> str:
    return "\n\n".join([_rounds(results), _kinds(results), _causes(results)])


def _rounds(results: Sequence[Result]) -> str:
    rows = [
        (
            r["seed"], r["stages"], f"`{r['code']}`", r["faults"], r["submitted"], r["verdicts"].get("validated", 0), sum(r["dead_letters"].values()),
            r.get("provider", {}).get("calls", "-"), sum(n for o, n in r["usage_outcomes"].items() if o.endswith("in_doubt")), r["republished"] + r["submitted_again"],
            r["off"]["lost"], sum(n for check, n in r["off"].items() if check != "lost"), f"{r['recovery']['lost_s']} of {r['recovery']['wall_s']:.0f}",
            r["recovery"]["unexplained_s"],
        )
        for r in results
    ]  # fmt: skip
    total = summary(results)
    heads = ("seed", "stages", "code", "faults", "requests", "validated", "dead letters", "provider calls", "in doubt", "came again", "lost", "otherwise off", "lost s", "unexplained s")  # fmt: skip
    last = ("**all**", "", "", f"**{total['faults']}**", total["submitted"], sum(row[5] for row in rows), sum(row[6] for row in rows), sum(row[7] for row in rows if row[7] != "-"), sum(row[8] for row in rows),
            sum(row[9] for row in rows), f"**{total['off']['lost']}**", f"**{sum(total['off'].values()) - total['off']['lost']}**", f"{total['lost_s']} of {total['wall_s']}", total["unexplained_s"])  # fmt: skip
    return _table(heads, [*rows, last])


def _kinds(results: Sequence[Result]) -> str:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in results:
        for kind, about in r["recovery"]["by_kind"].items():
            found[kind].append(about)
    rows = []
    for kind, (_, what) in KINDS.items():
        if kind in found:
            medians = sorted(a["recover_s_p50"] for a in found[kind])
            shown = [a["sql_s_max"] for a in found[kind] if a["sql_s_max"] is not None]
            rows.append(
                (kind, what, sum(a["faults"] for a in found[kind]), medians[len(medians) // 2], max(a["recover_s_max"] for a in found[kind]), max(shown, default="-"))
            )  # fmt: skip
    return _table(("kind", "what was done", "faults", "recovery s, median round", "longest", "longest in SQL"), rows)


def _causes(results: Sequence[Result]) -> str:
    causes = summary(results)["lost_s_by_cause"]
    return _table(("cause that was there", "lost s"), list(causes.items()))


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
