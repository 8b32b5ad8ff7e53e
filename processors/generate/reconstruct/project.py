"""Features become the files of an application."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from ..scaffold import scaffold
from .assets import Assets
from .css import Stylesheet
from .data import data_files
from .dress import Scene, dress, unify
from .emit import Context, emit_dialog, emit_page, lines_of
from .even import even, with_moved
from .fields import find_fields
from .forms import Forms
from .frame import Frame
from .jsx import Code, El, literal, render
from .layout import Node, lay_out
from .machine import Machine, label_of, machine
from .model import Box, Text, parse
from .mosaic import assemble, share_frame
from .names import pascal, slug, unique
from .noise import without_backdrop, without_cursor, without_marks
from .pages import Story, tell
from .parts import codes, share, walk
from .pixels import distance, hexadecimal, part, prevailing
from .playwright import spec
from .repeats import find as find_lists
from .repeats import module
from .settings import ReconstructSettings
from .tables import Tables
from .typography import Typography

_FLOW = ("Check", "Choice", "Field")
_WORDS = ("click", "item", "row", "index")  # names within a component


def reconstruct(
    features: Mapping[str, Any], keyframes: Mapping[str, bytes], settings: ReconstructSettings | None = None
) -> dict[str, bytes]:
    """The project of an application that looks and behaves like a recording: POSIX relative path -> content, not built.

    `features` is a features document, `keyframes` the PNG files that its screens name. The same arguments give the same
    bytes. Raises FeaturesError where the features are malformed or have no screen. Without keyframes the application has
    no pictures, and only the colours that the features tell.
    """
    settings = settings or ReconstructSettings()
    parsed = find_fields(without_backdrop(without_marks(without_cursor(parse(features, settings)))), keyframes)
    story = tell(parsed)
    sheets = [assemble(parsed, page, keyframes) for page in story.pages]
    share_frame(sheets)
    scenes = [dress(s) for s in sheets]
    unify(scenes)
    flow = machine(parsed, story, scenes)
    typography = Typography([t for s in scenes for t in [*s.texts, *s.values.values()]])
    titles, names, paths = _names(scenes, flow, settings)
    sheet, assets = Stylesheet(), Assets(settings, parsed.width * parsed.height)
    roots = []
    for scene in scenes:
        whole = scene.dialog.box if scene.dialog else Box(0, 0, scene.sheet.width, scene.sheet.height)
        roots.append(
            lay_out(whole, scene.texts, scene.elements, scene.panels, Frame() if scene.dialog else scene.sheet.frame, _frame_colors(scene))
        )
    for k, root in enumerate(roots):
        flow.clicked[k] = with_moved(flow.clicked[k], even(root, typography))
    bases = [_base(k, scenes, story) for k in range(len(scenes))]
    levels = _heading_levels(roots, typography)
    tables = Tables()
    trees = []
    for k, root in enumerate(roots):
        tables.title = titles[k]
        context = _context(k, scenes, flow, sheet, typography, assets, paths, levels, tables)
        base, dialog = bases[k], scenes[k].dialog
        if base is not None and dialog is not None:
            trees.append(emit_dialog(root, dialog, names[base], _dim(scenes[k], scenes[base]), context))
        else:
            trees.append(emit_page(root, context))
    forms = Forms(tables.tables)
    for tree, title in zip(trees, titles, strict=True):
        forms.find(tree, title)
    taken = {n.lower() for n in [*names, *_WORDS, *tables.names, *(f.name for f in forms.found.values())]}
    lists = find_lists(trees, titles, sheet, taken)
    parts = share(trees, taken)
    files = scaffold(
        titles[0],
        titles[0],
        f"Reconstructed from a screen recording of {titles[0]}.",
        color_scheme=_scheme(scenes[0].ground),
        supabase_url=settings.supabase_url,
        supabase_key=settings.supabase_key,
    )
    arrays = {a: c.name for c in lists for a in c.arrays}
    for c in lists:
        files[f"src/parts/{c.name}.tsx"] = _component(c.name, c.tree, {}, assets, props=c.props).encode()
        files[f"src/lists/{c.name}.ts"] = module(c, [f'import {i} from "{assets.path(i)}";' for i in assets.imported(c.images)]).encode()
    for name, tree in parts.items():
        files[f"src/parts/{name}.tsx"] = _component(name, tree, parts, assets, arrays=arrays).encode()
    for name, tree in zip(names, trees, strict=True):
        files[f"src/pages/{name}.tsx"] = _component(name, tree, parts, assets, names, arrays).encode()
    files["src/App.tsx"] = _app(names).encode()
    files["src/flow.tsx"] = _own("flow.tsx")
    files["src/recording.ts"] = _recording(names, paths, titles, flow).encode()
    written = b"\n".join(files[f] for f in files if f.startswith(("src/pages/", "src/parts/", "src/lists/"))).decode()
    files["src/styles.css"] = sheet.text(_own("base.css").decode(), written).encode()
    files["tests/recording.spec.ts"] = spec(parsed, flow, paths).encode()
    files |= data_files(list(tables.models.values()), list(forms.found.values()), _own) | assets.files
    return dict(sorted(files.items()))


def _base(k: int, scenes: Sequence[Scene], story: Story) -> int | None:
    """The page behind a dialog: the one that was there before it, if that is none itself."""
    first = story.pages[k].shots[0][0]
    if scenes[k].dialog is None or first == 0:
        return None
    before = story.place[first - 1][0]
    return before if scenes[before].dialog is None else None


def _dim(scene: Scene, base: Scene) -> float:
    """How much of the light of the page behind a dialog is gone, 0 to 1."""
    if scene.sheet.picture is None or base.sheet.picture is None or scene.dialog is None:
        return 0.5
    rows = min(scene.sheet.picture.shape[0], base.sheet.picture.shape[0])
    now, lit = (p[:rows:4, ::4].max(axis=2).astype(np.float64) for p in (scene.sheet.picture, base.sheet.picture))
    box = scene.dialog.box
    now[round(box.y / 4) : round(box.bottom / 4), round(box.x / 4) : round(box.right / 4)] = -1
    usable = (now >= 0) & (lit > 40)
    if not usable.any():
        usable = (now >= 0) & (lit > 8)
    return float(np.clip(1 - np.median(now[usable] / lit[usable]), 0.1, 0.9)) if usable.any() else 0.5


def _frame_colors(scene: Scene) -> tuple[str, str]:
    """What the bar and the column of a page are filled with."""
    picture, frame = scene.sheet.picture, scene.sheet.frame
    if picture is None:
        return scene.ground, scene.ground
    bar, column = Box(0, 0, scene.sheet.width, max(1.0, frame.bar)), Box(0, frame.bar, max(1.0, frame.column), 600)
    return hexadecimal(prevailing(part(picture, bar))), hexadecimal(prevailing(part(picture, column)))


def _own(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def _context(
    k: int,
    scenes: Sequence[Scene],
    flow: Machine,
    sheet: Stylesheet,
    typography: Typography,
    assets: Assets,
    paths: Sequence[str],
    levels: Mapping[float, int],
    tables: Tables,
) -> Context:
    scene = scenes[k]
    palette = (
        {scene.ground} | {p.color for s in scenes for p in s.panels} | {e.background for s in scenes for e in s.elements if e.background}
    )

    def band(box: Box) -> str | None:
        if scene.sheet.picture is None:
            return None
        found = hexadecimal(prevailing(part(scene.sheet.picture, box)))
        return min((c for c in sorted(palette) if distance(c, found) <= 6), key=lambda c: distance(c, found), default=found)

    def level(node: Node) -> int:
        sizes = [typography.fit(t).size for t in lines_of(node)]
        return levels.get(max(sizes), 6) if sizes else 6

    options: dict[str, list[str]] = {}
    for other, keys in zip(scenes, flow.keys, strict=True):
        for e in other.elements:
            if e.kind == "select":
                shown = other.values[e.id].text if e.id in other.values else e.text
                options.setdefault(keys[e.id], []).append(shown)
    leads = {r.control: paths[r.target] for r in reversed(flow.rules) if r.on == "click"}
    return Context(
        scene=scene,
        sheet=sheet,
        typography=typography,
        keys=flow.keys[k],
        stepped=leads,
        picture=lambda e, icon: assets.crop(scene, e, icon),
        labels={e.id: label_of(e, scene) for e in scene.elements if e.kind in {"input", "select", "checkbox", "radio"}},
        options={e.id: options.get(flow.keys[k][e.id], []) for e in scene.elements if e.kind == "select"},
        heading_level=level,
        band=band,
        table=tables.emit,
        clicked_texts=flow.clicked[k],
    )


def _names(scenes: Sequence[Scene], flow: Machine, settings: ReconstructSettings) -> tuple[list[str], list[str], list[str]]:
    """Title, component and path of every page. A page is called after what is written largest on it."""
    taken: set[str] = {"/"}
    components: set[str] = set()
    titles, names, paths = [], [], []
    # What stands on most pages names the application, and no page but the first.
    seen = Counter(text for scene in scenes for text in {t.text for t in scene.texts})
    everywhere = frozenset(text for text, times in seen.items() if len(scenes) > 2 and 2 * times > len(scenes))
    for k, scene in enumerate(scenes):
        title = _title(scene, everywhere if k else frozenset()) or f"Page {k + 1}"
        if k == 0 and settings.title:
            title = settings.title
        reached = next((r.control for r in flow.rules if r.target == k and r.on in {"click", "enter"}), "")
        titles.append(title)
        names.append(unique(pascal(title, "Page"), components, ""))
        paths.append("/" if k == 0 else "/" + unique(slug(reached, slug(title, "page")), taken))
    return titles, names, paths


def _title(scene: Scene, everywhere: frozenset[str]) -> str:
    headings = [e for e in scene.elements if e.kind == "heading" and e.box.y < 600]
    inside = [t for t in scene.texts if any(h.box.contains(t.box.cx, t.box.cy) for h in headings)]
    candidates: list[Text] = [t for t in inside or scene.texts if sum(c.isalpha() for c in t.text) >= 3 and t.box.y < 600]
    tables = [e.box for e in scene.elements if e.kind == "table"]
    own = [t for t in candidates if t.text not in everywhere and not any(b.contains(t.box.cx, t.box.cy) for b in tables)]
    candidates = own or candidates
    best = max(candidates, key=lambda t: (t.font_size or t.box.h, -t.box.y), default=None)
    return best.text[:60] if best else ""


def _heading_levels(roots: Sequence[Node], typography: Typography) -> dict[float, int]:
    """Font size -> level of headings of that size."""
    sizes: set[float] = set()

    def visit(node: Node) -> None:
        if node.payload is not None and getattr(node.payload, "kind", "") == "heading":
            lines = lines_of(node)
            sizes.update([max(typography.fit(t).size for t in lines)] if lines else [])
        for c in node.children:
            visit(c)

    for root in roots:
        visit(root)
    return {s: min(6, k + 1) for k, s in enumerate(sorted(sizes, reverse=True))}


def _scheme(ground: str) -> str:
    return "dark" if sum(int(ground[i : i + 2], 16) for i in (1, 3, 5)) < 384 else "light"


def _component(
    name: str,
    tree: El,
    parts: Mapping[str, El],
    assets: Assets,
    pages: Sequence[str] = (),
    arrays: Mapping[str, str] = {},
    props: Mapping[str, str] = {},
) -> str:
    """The module of one component. `arrays` are the lists with the component of their items, `props` its own with their types."""
    tags = {e.tag for e in walk(tree)}
    expressions = codes(tree)
    click = any(c.startswith("click(") or " onClick={click(" in c for c in expressions)
    shown = sorted({m[1] for c in expressions if (m := re.match(r"(\w+)\.map\(\(item\)", c))})
    mapped = sorted({(m[1], int(m[2] or 0)) for c in expressions if (m := re.match(r"(\w+?)Rows(\d*)\.map\(\(row, index\)", c))})
    used = sorted([t for t in _FLOW if t in tags or any(f"<{t} " in c for c in expressions)] + (["useFlow"] if click else []))
    head = ['import { type ReactNode } from "react";']
    head += [f'import {i} from "{assets.path(i)}";' for i in assets.imported(expressions)]
    head += [f'import {{ {", ".join(used)} }} from "../flow";'] if used else []
    head += [f'import {{ {p} }} from "./{p}";' for p in sorted(tags & set(pages))]
    items = {arrays[a] for a in shown}
    head += [f'import {{ {a} }} from "../lists/{arrays[a]}";' for a in shown]
    head += [f'import {{ {p} }} from "../parts/{p}";' for p in sorted(tags & set(parts) | items)]
    if mapped:
        head += [
            'import { useRows } from "../data/rows";',
            f'import {{ {", ".join(sorted({n for n, _ in mapped}))} }} from "../data/tables";',
        ]
    entered = sorted({e.attrs["form"].text for e in walk(tree) if e.tag == "DataForm" and isinstance(e.attrs["form"], Code)})
    if entered:
        head += ['import { DataForm } from "../data/entries";', f'import {{ {", ".join(entered)} }} from "../data/forms";']
    body = ["  const { click } = useFlow();"] if click else []
    body += [f"  const {n}Rows{k or ''} = useRows({n}, {k});" for n, k in mapped]
    signature, given = "", []
    if props:
        given = [f"export interface {name}Props {{", *(f"  readonly {p}: {t};" for p, t in props.items()), "}", ""]
        signature = "{ " + ", ".join(p.removesuffix("?") for p in props if p != "id") + f" }}: {name}Props"
    function = f"export function {name}({signature}): ReactNode {{"
    return "\n".join([*head, "", *given, function, *body, "  return (", render(tree, 2), "  );", "}", ""])


def _app(names: Sequence[str]) -> str:
    """The application: the page that the flow is at."""
    imports = [f'import {{ {n} }} from "./pages/{n}";' for n in sorted(names)]
    table = [f"  {n}," for n in names]
    return "\n".join(
        [
            'import { type ComponentType, type ReactNode } from "react";',
            'import { FlowProvider, useFlow } from "./flow";',
            *imports,
            'import { type PageId } from "./recording";',
            "",
            "const views: Readonly<Record<PageId, ComponentType>> = {",
            *table,
            "};",
            "",
            "function CurrentPage(): ReactNode {",
            "  const { page } = useFlow();",
            "  const View = views[page];",
            "  return <View />;",
            "}",
            "",
            "export function App(): ReactNode {",
            "  return (",
            "    <FlowProvider>",
            "      <CurrentPage />",
            "    </FlowProvider>",
            "  );",
            "}",
            "",
        ]
    )


def _recording(names: Sequence[str], paths: Sequence[str], titles: Sequence[str], flow: Machine) -> str:
    """Pages and rules as data."""
    pages = [f"  {{ id: {literal(n)}, path: {literal(p)}, title: {literal(t)} }}," for n, p, t in zip(names, paths, titles, strict=True)]
    rules = []
    for r in flow.rules:
        parts = [
            f"from: {literal(names[r.source])}",
            f"on: {literal(r.on)}",
            f"control: {literal(r.control)}",
            f"to: {literal(names[r.target])}",
        ]
        parts += [f"{k}: {v:g}" for k, v in (("scroll", r.scroll), ("typed", r.typed), ("delay", r.delay)) if v is not None]
        if r.values:
            parts.append("values: { " + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in r.values) + " }")
        rules.append("  { " + ", ".join(parts) + " },")
    return "\n".join(
        [
            "/** The pages and the steps between them, as the recording shows them. */",
            "",
            "export type PageId = " + " | ".join(literal(n) for n in names) + ";",
            "",
            "export interface Page {",
            "  readonly id: PageId;",
            "  readonly path: string;",
            "  readonly title: string;",
            "}",
            "",
            "export interface Rule {",
            "  readonly from: PageId;",
            "  /** any: whichever control is operated; time: after `delay` ms. */",
            '  readonly on: "click" | "enter" | "type" | "wheel" | "any" | "time";',
            "  readonly control: string;",
            "  readonly to: PageId;",
            "  /** Where the window scrolls to, in pixels; without it, it stays. */",
            "  readonly scroll?: number;",
            "  /** How many characters must have been typed. */",
            "  readonly typed?: number;",
            "  readonly delay?: number;",
            "  /** What fields show afterwards. */",
            "  readonly values?: Readonly<Record<string, string>>;",
            "}",
            "",
            "export const pages: readonly [Page, ...Page[]] = [",
            *pages,
            "];",
            "",
            "export const rules: readonly Rule[] = [",
            *rules,
            "];",
            "",
        ]
    )
