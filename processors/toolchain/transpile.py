"""TypeScript to plain JavaScript file by file, in the sandbox: what a check reads when it wants code without types, comments and JSX."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from processors.toolchain import project
from processors.toolchain.node import Toolchain
from processors.toolchain.sandbox import Mount, run_async

SUFFIXES = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts")


async def transpile(files: Mapping[str, bytes], toolchain: Toolchain) -> dict[str, str]:
    """JavaScript by original path, for every file of code but declarations. Empty where esbuild cannot parse one of them."""
    code = {name: content for name, content in files.items() if name.endswith(SUFFIXES) and not name.endswith(".d.ts")}
    if not code:
        return {}
    project.check(code)
    # Numbered names: two sources may differ in their suffix only, and an output's name must lead back to its source.
    entries = {str(i): name for i, name in enumerate(sorted(code))}
    with tempfile.TemporaryDirectory(prefix="millrace-code-") as folder:
        inputs = {number + Path(name).suffix: code[name] for number, name in entries.items()}
        source, out = _folders(Path(folder), inputs)
        argv = ["/tool/esbuild", *inputs, "--outdir=/out", "--jsx=automatic", "--charset=utf8"]
        argv += ["--legal-comments=none", "--target=esnext", "--log-level=silent", "--tsconfig-raw={}"]
        mounts = [Mount(source, "/in"), Mount(toolchain.esbuild, "/tool/esbuild"), Mount(out, "/out", writable=True)]
        done = await run_async(argv, toolchain=toolchain, mounts=mounts, limits=toolchain.settings.build, cwd="/in")
        if not done.ok:
            return {}
        return {name: (out / f"{number}.js").read_text(errors="replace") for number, name in entries.items()}


def _folders(folder: Path, inputs: Mapping[str, bytes]) -> tuple[Path, Path]:
    """A folder with the inputs, and an empty one for the outputs."""
    source, out = folder / "in", folder / "out"
    source.mkdir()
    out.mkdir()
    for name, content in inputs.items():
        (source / name).write_bytes(content)
    return source, out
