"""Gate ``behaviour``: what was done in the recording is done to the running application, and leads where it led there.

Screens of the features are visited in order. Before each one the actions recorded since the last are performed with a real
mouse and keyboard; then its words must appear (F1 of ``policy.reached`` or better, and nearer to this screen than to the one
before). Nothing is repaired on the way: what depends on a failed step fails, too.

An action works when its target was found (a control or text of that name near its place, else a control at that point), could
be operated (typed text arrived in a field), and the screen it led to was reached.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from processors.toolchain.browser import Opened
from processors.toolchain.findings import Finding
from processors.validate import render
from processors.validate.policy import ValidationPolicy
from processors.validate.render import Look
from processors.validate.texts import expected
from processors.validate.words import differences, likeness

GATE = "behaviour"

_VALUES = "() => [...document.querySelectorAll('input,textarea,[contenteditable]')].map(e => e.value ?? e.innerText)"
_CHOOSE = """
([x, y, label]) => {
  const select = document.elementFromPoint(x, y)?.closest('select');
  const option = select && [...select.options].find(o => o.label.trim().toLowerCase() === label.trim().toLowerCase());
  if (!option) return false;
  Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, 'value').set.call(select, option.value);
  for (const type of ['input', 'change']) select.dispatchEvent(new Event(type, { bubbles: true }));
  return true;
}
"""
_KEYS = {
    "return": "Enter",
    "esc": "Escape",
    "del": "Delete",
    "space": " ",
    "up": "ArrowUp",
    "down": "ArrowDown",
    "left": "ArrowLeft",
    "right": "ArrowRight",
}
_POINTED = frozenset({"click", "double_click", "type", "hover", "select"})


@dataclass(frozen=True)
class Done:
    """One recorded action as it went."""

    kind: str
    name: str
    found: bool
    operable: bool


@dataclass
class Step:
    """One recorded screen, the actions that led to it, and what the application showed then."""

    screen: Mapping[str, Any]
    actions: list[Done]
    reached: bool
    likeness: float
    look: Look | None = None
    notes: list[str] = field(default_factory=list)


async def play(opened: Opened, features: Mapping[str, Any], policy: ValidationPolicy, pictures: bool) -> list[Step]:
    """Go through the recording from the application's first screen. With ``pictures`` each step keeps how it looked."""
    screens: Sequence[Mapping[str, Any]] = features["screens"][: policy.most_screens]
    by_id = {screen["id"]: screen for screen in features["screens"]}
    actions = sorted(features.get("actions") or (), key=lambda a: a["t"])
    size = (int(features["video"]["width"]), int(features["video"]["height"]))
    steps: list[Step] = []
    position, previous, last = 0, None, ""
    seen = await render.read(opened)
    for screen in screens:
        done: list[Done] = []
        while position < len(actions) and actions[position]["t"] < screen["t_start"]:
            action = actions[position]
            position += 1
            if action["kind"] == "navigate":
                if last == "type":  # typing led elsewhere without a click: somebody pressed Enter
                    await opened.page.press("Enter")
                continue
            done.append(await _perform(opened, action, _target(action, by_id), seen, size))
            last = action["kind"]
            await render.settle(opened, most_ms=400)
            seen = await render.read(opened)
        step, seen = await _arrive(opened, screen, previous, seen, policy)
        step.actions = done
        await render.settle(opened, most_ms=400)  # its words may be there while it still moves: the next click needs it at rest
        seen = await render.read(opened)
        if pictures:
            step.look = Look(seen, await opened.page.picture())
        steps.append(step)
        previous = expected(screen)
    return steps


async def _arrive(
    opened: Opened, screen: Mapping[str, Any], previous: Mapping[str, Any] | None, seen: dict[str, Any], policy: ValidationPolicy
) -> tuple[Step, dict[str, Any]]:
    """Wait until the application shows ``screen``, at most ``policy.reach_timeout_s``."""
    wanted = expected(screen)
    # Readings of one unchanged screen differ by a word or two: there "nearer than before" would be decided by chance.
    same = previous is not None and likeness(previous, wanted) > 0.97
    deadline = time.monotonic() + policy.reach_timeout_s
    while True:
        now = likeness(seen, wanted)
        reached = now >= policy.reached and (previous is None or same or now > 0.995 or now > likeness(seen, previous))
        if reached or time.monotonic() > deadline:
            break
        await opened.page.wait(0.15)
        seen = await render.read(opened)
    step = Step(screen, [], reached, now)
    if not reached:
        missing, surplus = differences(wanted, seen)
        step.notes = [f"missing: {' '.join(missing)}" if missing else "", f"not expected: {' '.join(surplus)}" if surplus else ""]
    return step, seen


def _target(action: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    screen = by_id.get(action.get("before") or "")
    return next((e for e in (screen or {}).get("elements") or () if e["id"] == action.get("target")), None)


def _locate(seen: Mapping[str, Any], name: str, x: float, y: float, size: tuple[int, int]) -> Sequence[float] | None:
    """The box of the control or text that is meant: the same name within a tenth of the screen, else the smallest control there."""
    best: tuple[float, float] | None = None
    found: Sequence[float] | None = None
    wanted = name.split("\n")[0].strip().casefold()
    for thing in (*seen["elements"], *seen["texts"]) if wanted else ():
        bx, by, bw, bh = thing["box"]
        off = max(abs(bx + bw / 2 - x) / size[0], abs(by + bh / 2 - y) / size[1])
        ratio = SequenceMatcher(None, thing["text"].casefold(), wanted).ratio()
        if ratio >= 0.8 and off <= 0.1 and (best is None or (ratio, -off) > best):
            best, found = (ratio, -off), thing["box"]
    if found is not None:
        return found
    inside = [
        e["box"]
        for e in seen["elements"]
        if e["box"][0] <= x <= e["box"][0] + e["box"][2] and e["box"][1] <= y <= e["box"][1] + e["box"][3]
    ]
    return min(inside, key=lambda box: box[2] * box[3]) if inside else None


async def _perform(
    opened: Opened, action: Mapping[str, Any], target: Mapping[str, Any] | None, seen: Mapping[str, Any], size: tuple[int, int]
) -> Done:
    page, kind = opened.page, str(action["kind"])
    text = str(action.get("text") or "")
    name = str((target or {}).get("text") or (target or {}).get("placeholder") or "")
    if kind == "scroll":
        if action.get("x") is not None:
            await page.move(float(action["x"]), float(action["y"]))
        await page.wheel(float(action.get("dy") or 0))
        return Done(kind, "", True, True)
    if kind == "key":
        key = _KEYS.get(text.lower(), text)
        with contextlib.suppress(KeyError):  # a key's name comes from the features; one that there is not is not operable
            await page.press(key)
            return Done(kind, text, True, True)
        return Done(kind, text, True, False)
    if kind not in _POINTED:
        return Done(kind, text, False, False)
    if target is not None:
        x, y = target["box"][0] + target["box"][2] / 2, target["box"][1] + target["box"][3] / 2
    elif action.get("x") is not None:
        x, y = float(action["x"]), float(action["y"])
    else:
        return Done(kind, name, False, False)
    box = _locate(seen, name, x, y, size)
    if box is None:
        return Done(kind, name, False, False)
    px, py = box[0] + min(box[2] / 2, 120), box[1] + box[3] / 2
    await page.move(px, py)
    if kind == "hover":
        return Done(kind, name, True, True)
    if kind == "select" and await page.ask(_CHOOSE, [px, py, text]):
        return Done(kind, name, True, True)
    await page.click(px, py, 2 if kind == "double_click" else 1)
    if kind == "type":
        await page.press("Control+A")
        await page.type(text)
        values = await page.ask(_VALUES)
        masked = bool((target or {}).get("masked")) or not text.strip("•●*·. ")
        return Done(kind, name, True, masked or any(text.casefold() in str(value or "").casefold() for value in values))
    return Done(kind, name, True, True)


def scores(steps: Sequence[Step]) -> dict[str, float]:
    """Shares of screens reached, of targets found and of actions that work; 1 where there were none."""
    actions = [(done, step.reached) for step in steps for done in step.actions]
    return {
        "screens_reached": _share([step.reached for step in steps]),
        "targets_found": _share([done.found for done, _ in actions]),
        "actions_work": _share([done.found and done.operable and reached for done, reached in actions]),
    }


def findings(steps: Sequence[Step], policy: ValidationPolicy) -> list[Finding]:
    """A warning for every action that does not work and every screen not reached; an error where too few actions work."""
    found = []
    for step in steps:
        for done in step.actions:
            if not (done.found and done.operable):
                what = "has no target in the application" if not done.found else "has no effect on its target"
                found.append(
                    Finding(
                        GATE,
                        "behaviour.action",
                        f"{done.kind} {done.name[:80]!r} {what}",
                        severity="warning",
                        evidence={"screen": step.screen["id"]},
                    )
                )
        if not step.reached:
            evidence = {"screen": step.screen["id"], "words_f1": round(step.likeness, 4), "notes": [n for n in step.notes if n]}
            found.append(
                Finding(
                    GATE,
                    "behaviour.screen",
                    f"the recorded screen {step.screen['id']} is not reached",
                    severity="warning",
                    evidence=evidence,
                )
            )
    share = scores(steps)["actions_work"]
    if share < policy.behaviour:
        found.append(Finding(GATE, "behaviour.actions", f"{share:.2f} of the recorded actions work, needed are {policy.behaviour:.2f}"))
    return found


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 1.0
