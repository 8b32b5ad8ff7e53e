"""Style sheets made up by chance, laid over a page that is there already: the same controls as somebody else would have drawn them.

What tells a link from a word is learned from how links differ from words, not from one kit's blue: a page seen in many styles is worth many kits. Each part
of a page is restyled or left as it is, by the seed alone. Boxes move and change size with it, so that the truth is taken anew of each.
"""

from __future__ import annotations

from random import Random

FAMILIES = (
    "'Liberation Sans',sans-serif",
    "'Liberation Sans',sans-serif",
    "'DejaVu Sans',sans-serif",
    "'Liberation Serif',serif",
    "'DejaVu Serif',serif",
    "'Liberation Sans Narrow',sans-serif",
    "'DejaVu Sans Condensed',sans-serif",
    "'Liberation Mono',monospace",
)
BUTTON = "button,.btn,.button,[role=button],input[type=submit],input[type=button],input[type=reset]"
FIELD = (
    "input:not([type=checkbox]):not([type=radio]):not([type=submit]):not([type=button]):not([type=reset]):not([type=range]),textarea,select"
)
LINK = "a:not([class*=btn]):not([class*=button]):not([role=button])"


def rule(selector: str, **declared: object) -> str:
    return selector + "{" + "".join(f"{k.replace('_', '-')}:{v}!important;" for k, v in declared.items()) + "}"


def hue(r: Random, light: tuple[int, int], vivid: tuple[int, int] = (40, 95)) -> str:
    return f"hsl({r.randrange(360)} {r.randint(*vivid)}% {r.randint(*light)}%)"


def sheet(seed: int) -> str:
    """A style sheet (CSS)."""
    r = Random(seed)

    def chance(p: float) -> bool:
        return r.random() < p

    accent = hue(r, (28, 52))
    line = f"{r.choice([1, 1, 1, 2])}px solid {r.choice(['#ddd', '#ccc', '#bbb', '#888', '#e5e7eb', hue(r, (60, 85), (5, 40))])}"
    radius = f"{r.choice([0, 0, 2, 3, 4, 4, 6, 8, 12, 24])}px"
    out: list[str] = []
    if chance(0.5):
        out.append(rule("html", font_size=f"{r.choice([12, 13, 14, 15, 17, 18, 19])}px"))
    if chance(0.6):
        out.append(rule("body,button,input,select,textarea,h1,h2,h3,h4,h5,h6,td,th,a,p,li,label,div", font_family=r.choice(FAMILIES)))
    if chance(0.3):
        out.append(rule("p,li,td,label", line_height=r.choice([1.15, 1.3, 1.45, 1.7])))
    if chance(0.3):
        out.append(rule("body,main", background_color=hue(r, (92, 99), (0, 60))))
    if chance(0.75):
        colour = r.choice([accent, accent, accent, hue(r, (20, 60)), "inherit", hue(r, (20, 40), (0, 10))])
        out.append(
            rule(
                LINK,
                color=colour,
                text_decoration=r.choice(["none", "none", "underline"]),
                font_weight=r.choice(["inherit", "inherit", 600]),
            )
        )
    if chance(0.35):
        out.append(rule("nav a,aside a,[class*=nav] a,[class*=menu] a", padding=f"{r.randint(2, 12)}px {r.randint(4, 20)}px"))
    if chance(0.3):
        shade = r.choice([accent, "#222", "#fff", "#f3f4f6", hue(r, (10, 25), (5, 40))])
        out.append(rule("header,nav,.navbar,[class*=topbar]", background=shade, border_bottom=r.choice(["none", line])))
        if shade not in ("#fff", "#f3f4f6"):
            out.append(rule("header a,nav a,.navbar a,[class*=topbar] a", color="#eee"))
    if chance(0.7):
        out += _buttons(r, accent, line, radius)
    if chance(0.7):
        out.append(_fields(r, line, radius))
    if chance(0.4):
        side = f"{r.randint(12, 22)}px"
        out.append(
            rule(
                "input[type=checkbox],input[type=radio]",
                width=side,
                height=side,
                accent_color=accent,
                appearance=r.choice(["auto", "revert"]),
            )
        )
    if chance(0.7):
        out += _headings(r, accent, line)
    if chance(0.6):
        out += _tables(r, line)
    if chance(0.4):
        out.append(
            rule(
                ".card,.panel,.box,[class*=Card],[class*=Paper]",
                border=r.choice(["none", line]),
                border_radius=radius,
                box_shadow=r.choice(["none", "0 1px 3px #0003", "0 4px 16px #0002"]),
            )
        )
    if chance(0.25):
        out.append(
            rule(
                "main,.container,.content,[class*=container]",
                max_width=f"{r.randint(640, 1300)}px",
                margin_left="auto",
                margin_right="auto",
            )
        )
    if chance(0.2):
        out.append(rule("img", border_radius=r.choice(["0", "6px", "50%"])))
    if chance(0.2):
        out.append("html{filter:invert(1) hue-rotate(180deg);background:#fff}")
    return "\n".join(out)


def _buttons(r: Random, accent: str, line: str, radius: str) -> list[str]:
    """Filled, outlined, grey, or words alone; up to three manners on one page."""
    manners: list[dict[str, object]] = [
        {"background": accent, "color": "#fff", "border": r.choice(["none", f"1px solid {accent}"])},
        {"background": "transparent", "color": accent, "border": f"1px solid {accent}"},
        {"background": r.choice(["#eee", "#f5f5f5", "#e2e8f0"]), "color": "#222", "border": line},
        {"background": "#fff", "color": "#222", "border": line},
        {"background": "transparent", "color": accent, "border": "none"},
        {"background": hue(r, (20, 50)), "color": "#fff", "border": "none"},
        {},
    ]
    shape: dict[str, object] = {"border_radius": radius, "box_shadow": r.choice(["none", "none", "0 1px 2px #0004"])}
    if r.random() < 0.5:
        shape |= {"padding": f"{r.randint(2, 13)}px {r.randint(6, 26)}px", "font_size": f"{r.randint(11, 17)}px"}
    if r.random() < 0.3:
        shape |= {"text_transform": "uppercase", "letter_spacing": "0.04em"}
    if r.random() < 0.4:
        shape |= {"font_weight": r.choice([400, 500, 700])}
    made: list[str] = [rule(BUTTON, **shape, **r.choice(manners))]
    for nth in ("2n", "3n"):
        if r.random() < 0.4:
            made.append(rule(",".join(s + f":nth-child({nth})" for s in BUTTON.split(",")), **r.choice(manners)))
    return made


def _fields(r: Random, line: str, radius: str) -> str:
    manner: dict[str, object] = r.choice(
        [
            {"border": line, "background_color": "#fff", "border_radius": radius},
            {"border": line, "background_color": "#fff", "border_radius": radius},
            {"border": line, "background_color": "#f4f5f7", "border_radius": radius},
            {"border": "none", "background_color": r.choice(["#eee", "#f0f0f0", "#e8eaed"]), "border_radius": radius},
            {"border": "none", "border_bottom": line, "background_color": "transparent", "border_radius": "0"},
            {"border": "2px inset #999", "background_color": "#fff", "border_radius": "0"},
        ]
    )
    if r.random() < 0.6:
        manner |= {"padding": f"{r.randint(1, 11)}px {r.randint(3, 16)}px", "height": "auto"}
    return rule(FIELD, **manner)


def _headings(r: Random, accent: str, line: str) -> list[str]:
    made: list[str] = []
    scale, base = r.uniform(1.08, 1.35), r.uniform(13, 19)
    for level in range(6, 0, -1):
        made.append(rule(f"h{level}", font_size=f"{base * scale ** (6 - level) * (0.85 if level > 4 else 1):.1f}px"))
    every: dict[str, object] = {"font_weight": r.choice([300, 400, 500, 600, 700, 700, 800]), "line_height": r.choice([1.1, 1.2, 1.3, 1.5])}
    if r.random() < 0.3:
        every["color"] = r.choice([accent, hue(r, (15, 45)), "#555"])
    if r.random() < 0.2:
        every["text_transform"] = "uppercase"
    if r.random() < 0.4:
        every["margin"] = f"{r.randint(0, 28)}px 0 {r.randint(0, 18)}px"
    made.append(rule("h1,h2,h3,h4,h5,h6", **every))
    if r.random() < 0.25:
        made.append(rule(r.choice(["h1,h2", "h2", "h2,h3"]), border_bottom=line, padding_bottom=f"{r.randint(2, 10)}px"))
    return made


def _tables(r: Random, line: str) -> list[str]:
    cell: dict[str, object] = {"padding": f"{r.randint(2, 14)}px {r.randint(4, 20)}px", "border": "none"}
    cell |= r.choice([{}, {"border_bottom": line}, {"border": line}, {"border_bottom": line}])
    made: list[str] = [rule("td,th", **cell)]
    made.append(
        rule("table", border_collapse="collapse", border=r.choice(["none", "none", line]), width=r.choice(["100%", "100%", "auto"]))
    )
    if r.random() < 0.5:
        made.append(
            rule("th", background=r.choice(["#eee", "#f8f9fa", "#dde4ee", "transparent"]), text_align=r.choice(["left", "left", "center"]))
        )
    if r.random() < 0.3:
        made.append(rule("tbody tr:nth-child(odd) td", background=r.choice(["#f6f6f6", "#fafafa", hue(r, (93, 98))])))
    return made
