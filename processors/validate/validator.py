"""Runs the gates over an artifact in order of their cost, and says what they found as one verdict."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from processors.toolchain.browser import BrowserGone, Browsers, Log, Opened, OutOfMemory, PageError, Script
from processors.toolchain.build import BuildResult, build
from processors.toolchain.compilers import Compilers
from processors.toolchain.findings import Finding, errors
from processors.toolchain.node import Toolchain
from processors.toolchain.project import Files, ProjectError, check
from processors.validate import backend, behaviour, links, render, report, static, texts
from processors.validate.behaviour import Done, Step
from processors.validate.database import Database
from processors.validate.offline import offline
from processors.validate.policy import ValidationPolicy
from processors.validate.report import Pair
from processors.validate.verdict import GateResult, Verdict
from processors.validate.visual import compare, decode, shrink

Progress = Callable[[float, str], None]
"""Called as each gate begins: how much of the work is done (0 to 1) and the gate's name."""

_BEGINS = {"static": 0.0, "typecheck": 0.1, "render": 0.3, "texts": 0.5, "behaviour": 0.6, "visual": 0.85, "links": 0.88, "backend": 0.9}


@dataclass
class _Course:
    """What is known so far about one artifact."""

    progress: Progress
    findings: list[Finding] = field(default_factory=list)
    gates: list[GateResult] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)

    @contextlib.contextmanager
    def gate(self, name: str) -> Iterator[list[Finding]]:
        """Collects what one gate finds."""
        self.progress(_BEGINS[name], name)
        found: list[Finding] = []
        began = time.monotonic()
        yield found
        self.add(name, found, round((time.monotonic() - began) * 1000))

    def add(self, name: str, found: list[Finding], ms: int) -> None:
        self.findings += found
        self.gates.append(GateResult(name, not errors(found), ms))

    @property
    def ok(self) -> bool:
        return all(gate.ok for gate in self.gates)

    def verdict(self) -> Verdict:
        state = "validated" if self.ok else "rejected"
        reason, message = None, f"passed {', '.join(gate.gate for gate in self.gates)}"
        if not self.ok:
            failed = next(gate.gate for gate in self.gates if not gate.ok)
            grave = errors(f for f in self.findings if f.gate == failed)
            # A compiler's own codes are too fine for a reason that programs decide by.
            reason = grave[0].rule if grave[0].rule.startswith(failed + ".") else failed
            place = f" ({grave[0].file}{f':{grave[0].line}' if grave[0].line else ''})" if grave[0].file else ""
            more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
            message = f"{grave[0].message}{place}{more}"
        html = report.page(state, message, [(g.gate, g.ok) for g in self.gates], self.scores, self.findings, self.pairs)
        return Verdict("validated" if self.ok else "rejected", reason, message, tuple(self.findings), self.scores, tuple(self.gates), html)


class Validator:
    """Keeps browsers warm between artifacts: ``async with Validator(toolchain) as validator``. Safe for concurrent use in one event loop."""

    def __init__(self, toolchain: Toolchain, policy: ValidationPolicy | None = None) -> None:
        self._toolchain = toolchain
        self._policy = policy or ValidationPolicy()
        self._browsers = Browsers(toolchain)
        self._compilers = Compilers(toolchain)
        self._database = Database(toolchain)
        self._axe = Script(render.plain(toolchain.axe.read_text()))
        self._compiling = asyncio.Lock()

    async def __aenter__(self) -> Validator:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browsers.close()
        await self._compilers.close()
        await self._database.close()

    async def warm(self) -> None:
        """Start a browser ahead of the first artifact. The database takes more memory than all else and waits for the first migration."""
        await self._compile()

    async def validate(
        self,
        files: Mapping[str, bytes],
        *,
        features: Mapping[str, Any] | None = None,
        keyframes: Mapping[str, bytes] | None = None,
        tenant: str | None = None,
        progress: Progress | None = None,
    ) -> Verdict:
        """The verdict on a project. A bad project is a verdict, never an exception; ToolchainError and BrowserGone mean: here, try again.

        ``features`` is the recording it is held against, None for an application made from a prompt; ``keyframes`` holds the
        recording's pictures (PNG) by the names in ``features``.
        """
        course = _Course(progress or (lambda _fraction, _gate: None))
        built = await self._from_files(dict(files), course)
        if built is not None:
            dist, code = built
            storing = asyncio.create_task(self._in_database(files, code))
            try:
                await self._in_browser(dist, course, features, keyframes or {}, tenant)
                course.progress(_BEGINS["backend"], "backend")
                if (stored := await storing) is not None:
                    course.add("backend", *stored)
            finally:
                storing.cancel()
        return course.verdict()

    async def _compile(self) -> None:
        """Have axe-core compiled, once; where that fails, each page compiles it for itself."""
        async with self._compiling:
            if self._axe.compiled is None:
                try:
                    await self._browsers.compile(self._axe)
                except (BrowserGone, PageError, TimeoutError):
                    self._axe.compiled = b""

    async def _in_database(self, files: Mapping[str, bytes], code: Mapping[str, str]) -> tuple[list[Finding], int] | None:
        """What the gate ``backend`` finds, and its time in ms; None for an application without migrations."""
        if not backend.migrations(files):
            return None
        began = time.monotonic()
        found = await backend.check(files, code, self._database, self._policy)
        return found, round((time.monotonic() - began) * 1000)

    async def _from_files(self, files: Files, course: _Course) -> tuple[Files, Mapping[str, str]] | None:
        """Gates ``static``, ``typecheck`` and ``build``, which share their compilers; built files and transpiled code if all three pass."""
        policy = self._policy
        with course.gate("static") as found:
            try:
                check(files, policy.limits)
            except ProjectError as error:
                found.append(Finding("static", "static.files", str(error)))
        if not course.ok:
            return None
        course.gates.clear()
        course.progress(_BEGINS["typecheck"], "typecheck")
        built = await build(files, self._compilers, transpile=True)
        began = time.monotonic()
        found = static.check(files, built.code, policy)
        course.add("static", found, built.ms["transpile"] + round((time.monotonic() - began) * 1000))
        _add_build(course, built, files, policy)
        return (built.dist, built.code) if course.ok else None

    async def _in_browser(
        self, dist: Files, course: _Course, features: Mapping[str, Any] | None, keyframes: Mapping[str, bytes], tenant: str | None
    ) -> None:
        """Everything that needs the application to run; tried once more where the browser itself went away."""
        video = (features or {}).get("video") or {}
        size = (int(video["width"]), int(video["height"])) if video else self._policy.viewport
        played = min(len((features or {}).get("screens") or ()), self._policy.most_screens)
        time_limit_s = self._policy.browser_timeout_s * (1 + played / 5)
        await self._compile()
        for attempt in (1, 2):
            fresh = _Course(course.progress)
            log = Log()
            try:
                async with self._browsers.open(offline(dist), size, tenant) as opened:
                    log = opened.log
                    async with asyncio.timeout(time_limit_s):
                        await self._gates_in_browser(opened, fresh, features, keyframes)
            except TimeoutError:
                fresh.add("render", [Finding("render", "render.timeout", "the application keeps the browser busy longer than it may")], 0)
            except BrowserGone as error:
                if attempt == 1:
                    continue
                rule, said = "crash", "the browser ended twice while the application was open"
                if isinstance(error, OutOfMemory):
                    rule, said = "memory", "the application takes more memory than it may"
                fresh.add("render", [Finding("render", f"render.{rule}", said)], 0)
            except PageError as error:
                rule, said = ("crash", "the page crashed") if log.crashed else ("script", "the page does not let itself be looked at")
                fresh.add("render", [Finding("render", f"render.{rule}", f"{said}: {error.brief}")], 0)
            break
        course.findings += fresh.findings
        course.gates += fresh.gates
        course.scores |= fresh.scores
        course.pairs += fresh.pairs

    async def _gates_in_browser(
        self, opened: Opened, course: _Course, features: Mapping[str, Any] | None, keyframes: Mapping[str, bytes]
    ) -> None:
        with course.gate("render") as found:
            try:
                await opened.visit("/", self._policy.load_timeout_s)
            except PageError as error:
                found += render.complaints(opened.log)
                found.append(Finding("render", "render.load", f"the first screen does not load: {error.brief}"))
                return
            await render.settle(opened, unseen=True)
            first = await render.read(opened)
            found += render.complaints(opened.log) + render.emptiness(first)
            found += await render.accessibility(opened, self._axe, self._policy)
        if features is None:
            course.pairs.append(Pair("First screen", course.ok, [], None, await opened.page.thumbnail()))
            await self._links(opened, course)
            return
        with course.gate("texts") as found:
            score, differing = texts.check(first, features, self._policy)
            course.scores["first_screen_words_f1"] = round(score, 4)
            found += differing
        if features.get("screens"):
            with course.gate("behaviour") as found:
                heard = len(render.complaints(opened.log))
                steps = await behaviour.play(opened, features, self._policy, pictures=True)
                found += behaviour.findings(steps, self._policy)
                found += [replace(f, gate="behaviour") for f in render.complaints(opened.log)[heard:]]
            course.scores |= behaviour.scores(steps)
            with course.gate("visual") as found:
                scores, pairs = await asyncio.to_thread(_side_by_side, steps, keyframes)
                course.scores |= scores
                course.pairs += pairs
                mean = sum(scores.get(key, 0.0) for key in ("block", "text", "position", "colour")) / 4
                if scores and mean < self._policy.visual:  # without keyframes there is nothing to look like
                    found.append(
                        Finding("visual", "visual.differs", f"the screens look alike by {mean:.2f}, needed are {self._policy.visual:.2f}")
                    )
        await self._links(opened, course)

    async def _links(self, opened: Opened, course: _Course) -> None:
        """Last, since it leaves the application wherever its links lead."""
        if not course.ok:
            return
        with course.gate("links") as found:
            heard = len(render.complaints(opened.log))
            found += await links.follow(opened, self._policy)
            found += [replace(f, gate="links") for f in render.complaints(opened.log)[heard:]]


def _side_by_side(steps: Sequence[Step], keyframes: Mapping[str, bytes]) -> tuple[dict[str, float], list[Pair]]:
    """Visual scores, means over the screens reached whose keyframe is there, and the steps for the report."""
    rows: list[dict[str, float]] = []
    pairs = []
    for number, step in enumerate(steps, 1):
        assert step.look
        keyframe = keyframes.get(str(step.screen.get("keyframe") or ""))
        frame = decode(keyframe) if keyframe else None
        shot = decode(step.look.picture)
        notes = [f"{done.kind} {done.name!r}: {_how(done)}" for done in step.actions]
        notes += [f"words F1 {step.likeness:.4f}", *(note for note in step.notes if note)]
        if step.reached and frame is not None and shot is not None:
            row = compare(step.look.snapshot["texts"], step.screen.get("texts") or (), shot, frame)
            rows.append(row)
            notes.append(", ".join(f"{key} {value:.3f}" for key, value in row.items()))
        title = f"{number}. screen {step.screen['id']}, {float(step.screen['t_start']):.1f} s"
        pairs.append(Pair(title, step.reached, notes, shrink(keyframe) if keyframe else None, shrink(step.look.picture)))
    if not rows:
        return {}, pairs
    means = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    means["block_all"] = means["block"] * len(rows) / len(steps)  # a screen that was not reached counts 0
    return {key: round(value, 4) for key, value in means.items()}, pairs


def _how(done: Done) -> str:
    if not done.found:
        return "no target"
    return "done" if done.operable else "no effect"


def _add_build(course: _Course, built: BuildResult, files: Files, policy: ValidationPolicy) -> None:
    course.add("typecheck", [f for f in built.findings if f.gate == "typecheck"], built.ms.get("typecheck", 0))
    found = [f for f in built.findings if f.gate == "build"]
    given = {name: content for name, content in files.items() if name.startswith("dist/")}
    if not built.ok and not errors(built.findings):
        raise AssertionError("a build that failed without a finding")
    if built.ok and (given or policy.require_dist):
        for name in sorted(given.keys() | built.dist.keys()):
            if name not in given:
                found.append(Finding("build", "build.missing", "the artifact lacks a file that its sources build to", name))
            elif name not in built.dist:
                found.append(Finding("build", "build.surplus", "the artifact holds a built file that its sources do not build to", name))
            elif given[name] != built.dist[name]:
                found.append(Finding("build", "build.differs", "the artifact's built file is not what its sources build to", name))
    course.add("build", found, built.ms.get("build", 0))


async def validate(
    files: Mapping[str, bytes],
    *,
    features: Mapping[str, Any] | None = None,
    keyframes: Mapping[str, bytes] | None = None,
    toolchain: Toolchain,
    policy: ValidationPolicy | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """One validation with a browser of its own; :class:`Validator` is for more than one."""
    async with Validator(toolchain, policy) as validator:
        return await validator.validate(files, features=features, keyframes=keyframes, progress=progress)
