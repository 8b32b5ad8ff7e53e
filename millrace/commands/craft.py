"""Commands that need no Kafka: extract, reconstruct, validate. The same modules that the stages call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from millrace.commands.common import Json, quiet_logs
from millrace.output import OK, REJECTED, USAGE, err, fail, out, plain, print_json, print_table
from processors.extract.document import Features, read
from processors.extract.errors import BadVideo

if TYPE_CHECKING:
    from processors.extract.pipeline import Timings

Video = Annotated[Path, typer.Argument(help="A screen recording.")]


def _extract(video: Path, target: Path | None) -> tuple[Features, Timings]:
    """Features and timings of a recording; ends the program where it cannot be read."""
    from processors.extract.pipeline import Timings, extract

    if not video.is_file():
        fail(USAGE, f"{video} is not a file")

    def progress(fraction: float, message: str) -> None:
        if err.is_terminal:
            err.print(f"  {fraction:4.0%} {message:<40}", end="\r")

    timings = Timings()
    try:
        return extract(video, target, progress=progress, timings=timings), timings
    except BadVideo as error:
        fail(REJECTED, f"{video}: {error} ({error.reason})")


def extract(
    video: Video,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The features file; keyframes go to NAME.frames beside it. Default: stdout, without keyframes."
        ),
    ] = None,
    timings: Annotated[bool, typer.Option("--timings", help="Say on stderr where the time went.")] = False,
) -> None:
    """See what was on the screen and what was done: features as JSON. Pure: no Kafka, no network, no model in a cloud."""
    quiet_logs()
    features, spent = _extract(video, output)
    document = features.document
    if output is None:
        sys.stdout.buffer.write(features.to_json())
    else:
        err.print(
            f"{output}: {len(document['screens'])} screens, {len(document['actions'])} actions in {document['video']['duration_s']:.1f} s of video"
        )
    if timings:
        print_timings(spent)


def print_timings(spent: Timings) -> None:
    for name, seconds in spent.seconds.items():
        err.print(f"  {name:<20} {seconds:8.3f} s")
    for name, count in spent.counts.items():
        err.print(f"  {name:<20} {count:8}")


def _features(path: Path) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """Features and keyframes of a features file (with NAME.frames beside it) or of a recording."""
    if path.suffix != ".json":
        found, _ = _extract(path, None)
    else:
        try:
            found = read(path)
        except (OSError, ValueError, KeyError) as error:
            fail(USAGE, f"{path} is no features file: {error}")
    return found.document, found.keyframes


def reconstruct(
    source: Annotated[Path, typer.Argument(help="A recording, or a features file (.json) with its NAME.frames beside it.")],
    out_dir: Annotated[Path, typer.Option("-o", "--out", help="Where the project goes; made if it is not there.")],
) -> None:
    """Make a built application that looks and behaves like a recording. Deterministic, without a model."""
    from processors.generate.reconstruct import FeaturesError
    from processors.generate.reconstruct import reconstruct as make
    from processors.toolchain import project
    from processors.toolchain.build import build_sync
    from processors.toolchain.node import Toolchain, ToolchainError

    quiet_logs()
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        fail(USAGE, f"{out_dir} is there already and not an empty folder")
    features, frames = _features(source)
    try:
        files = make(features, frames)
        built = build_sync(files, Toolchain())
    except FeaturesError as error:
        fail(REJECTED, f"{source}: {error}")
    except ToolchainError as error:
        fail(USAGE, f"{error} ('millrace doctor' says more)")
    if not built.ok:
        for finding in built.findings:
            err.print(Text(plain(f"{finding.file or ''}:{finding.line or ''} {finding.message}")))
        fail(REJECTED, "the reconstructed project does not build")
    out_dir.mkdir(parents=True, exist_ok=True)
    project.write({**files, **built.dist}, out_dir)
    err.print(f"{len(files) + len(built.dist)} files in {out_dir}; open it with: {sys.executable} -m millrace.serve {out_dir}")


def validate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A project's folder, with its dist/.")],
    against: Annotated[Path | None, typer.Option(help="The recording or features file that it must look and behave like.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here, as one HTML page.")] = None,
    json: Json = False,
) -> None:
    """Prove an application in the sandbox: static checks, types, build, browser, behaviour, database. Exit code 1 where it is rejected."""
    from processors.toolchain import project
    from processors.toolchain.node import Toolchain, ToolchainError
    from processors.validate.validator import validate as prove

    quiet_logs()
    try:
        files = project.read(directory)
    except (OSError, project.ProjectError) as error:
        fail(USAGE, f"{directory} is not a project: {error}")
    features, frames = _features(against) if against else (None, None)

    def progress(fraction: float, gate: str) -> None:
        if err.is_terminal:
            err.print(f"  {fraction:4.0%} {gate:<20}", end="\r")

    try:
        verdict = asyncio.run(prove(files, features=features, keyframes=frames, toolchain=Toolchain(), progress=progress))
    except ToolchainError as error:
        fail(USAGE, f"{error} ('millrace doctor' says more)")
    if report:
        report.write_bytes(verdict.report_html)
    if json:
        print_json(
            {
                "id": None,
                **verdict.report(),
                "reason": verdict.reason or "",
                "gates": [{"gate": g.gate, "ok": g.ok, "ms": g.ms} for g in verdict.gates],
            }
        )
    else:
        print_table(["gate", "", "ms"], [(g.gate, "ok" if g.ok else "failed", round(g.ms)) for g in verdict.gates])
        for f in verdict.findings:
            out.print(
                Text(f"{f.severity:<8}", style="red" if f.severity == "error" else "yellow")
                + Text(plain(f"{f.gate}.{f.rule}  {f.file or ''}{f':{f.line}' if f.line else ''}  {f.message}"))
            )
        for name, value in sorted(verdict.scores.items()):
            out.print(f"  {name:<14} {value:.3f}")
        out.print(
            Text(verdict.state, style="bold green" if verdict.state == "validated" else "bold red")
            + Text(f"  {plain(verdict.reason or '')} {plain(verdict.message)}")
        )
    raise SystemExit(OK if verdict.state == "validated" else REJECTED)
