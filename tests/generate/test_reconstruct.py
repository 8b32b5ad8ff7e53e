"""Reconstruction as a function: structure of the files, rules, layout, hostile text, bad input. No browser."""

from __future__ import annotations

import json
import re
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.generate.reconstruct import FeaturesError, ReconstructSettings, reconstruct
from processors.toolchain import project

WIDTH, HEIGHT = 640, 400


def line(text: str, x: float, y: float, w: float | None = None, size: float = 14) -> dict[str, Any]:
    return {"text": text, "box": [x, y, w or 7 * len(text), 16], "color": "#202020", "font_size": size, "weight": 400, "family": "sans"}


def element(ident: str, kind: str, text: str, *box: float, **more: Any) -> dict[str, Any]:
    return {"id": ident, "kind": kind, "text": text, "box": list(box), **more}


def screen(n: int, texts: list[dict[str, Any]], elements: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    shown = [{"id": f"t{k}", **t} for k, t in enumerate(texts)]
    return {
        "id": f"s{n}",
        "screen": "A",
        "t_start": float(n),
        "t_end": n + 0.9,
        "keyframe": f"{n}.png",
        "background": "#ffffff",
        "texts": shown,
        "elements": elements or [],
    }


def document(*screens: dict[str, Any], actions: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "schema": "millrace.features/1",
        "video": {"width": WIDTH, "height": HEIGHT},
        "screens": list(screens),
        "actions": actions or [],
    }


def source(files: dict[str, bytes]) -> str:
    """Everything of the application but its frame."""
    return "\n".join(v.decode() for k, v in files.items() if k.startswith(("src/pages", "src/parts", "src/lists", "src/recording")))


def rules(files: dict[str, bytes]) -> list[dict[str, str]]:
    found = re.findall(r"^  \{ (from: .*) \},$", files["src/recording.ts"].decode(), re.M)
    return [{k: v.strip('"') for k, v in (p.split(": ", 1) for p in f.split(", ") if ": " in p)} for f in found]


HOME = [line("Orders", 40, 30, size=24), line("Three open orders", 40, 90)]
DETAIL = [line("Order 7", 40, 30, size=24), line("Sent on Monday", 40, 90)]
BUTTON = element("e0", "button", "Open", 40, 140, 120, 32)
CLICK = {"t": 0.8, "kind": "click", "x": 100, "y": 156, "before": "s0", "after": "s1", "target": "e0"}


def test_the_same_features_give_the_same_bytes() -> None:
    features = document(screen(0, HOME, [BUTTON]), screen(1, DETAIL), actions=[CLICK])
    assert reconstruct(features, {}) == reconstruct(json.loads(json.dumps(features)), {})


def test_the_project_has_all_its_files_with_safe_names() -> None:
    files = reconstruct(document(screen(0, HOME, [BUTTON])), {})
    project.check(files)
    for name in (
        "package.json",
        "index.html",
        "src/main.tsx",
        "src/App.tsx",
        "src/flow.tsx",
        "src/recording.ts",
        "src/styles.css",
        "tests/recording.spec.ts",
    ):
        assert name in files


def test_a_click_leads_to_the_page_that_followed() -> None:
    texts = [*HOME, line("Open", 80, 148)]
    files = reconstruct(document(screen(0, texts, [BUTTON]), screen(1, DETAIL), actions=[CLICK]), {})
    assert [(r["from"], r["on"], r["control"], r["to"]) for r in rules(files)] == [("Orders", "click", "open", "Order7")]
    assert 'onClick={click("open")}' in source(files)


def test_one_control_that_leads_to_two_pages_has_both_rules_in_order() -> None:
    back = {**CLICK, "t": 1.8, "before": "s1", "after": "s2"}
    third = {**CLICK, "t": 2.8, "before": "s2", "after": "s3"}
    other = [line("Order 9", 40, 30, size=24), line("Not sent", 40, 90)]
    open_ = line("Open", 80, 148)
    shown = [screen(n, [*t, open_], [BUTTON]) for n, t in enumerate((HOME, DETAIL, HOME, other))]
    found = rules(reconstruct(document(*shown, actions=[CLICK, back, third]), {}))
    assert [(r["from"], r["to"]) for r in found] == [("Orders", "Order7"), ("Order7", "Orders"), ("Orders", "Order9")]


def test_typing_needs_no_page_of_its_own_and_enter_leads_on() -> None:
    field = element("e1", "input", "", 40, 200, 300, 32)
    features = document(
        screen(0, [*HOME, line("Search", 40, 180)], [field]),
        screen(1, [*HOME, line("Search", 40, 180), line("tea", 52, 208)], [{**field, "text": "tea"}]),
        screen(2, DETAIL),
        actions=[
            {"t": 0.5, "kind": "click", "x": 100, "y": 216},
            {"t": 0.8, "kind": "type", "x": 100, "y": 216, "text": "tea"},
            {"t": 1.8, "kind": "navigate"},
        ],
    )
    files = reconstruct(features, {})
    assert len([f for f in files if f.startswith("src/pages/")]) == 2
    assert '<Field name="search" label="Search"' in source(files)
    features["actions"][1:] = [
        {"t": 0.8, "kind": "type", "x": 100, "y": 216, "text": "tea"},
        {"t": 1.85, "kind": "type", "x": 100, "y": 216, "text": "tea"},
    ]
    assert [(r["on"], r["control"], r["to"]) for r in rules(reconstruct(features, {}))] == [("enter", "search", "Order7")]


def test_what_was_typed_into_is_a_field_even_where_none_was_seen() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    cv2.rectangle(frame, (40, 200), (340, 232), (120, 120, 120), 1)
    png = cv2.imencode(".png", frame)[1].tobytes()
    features = document(screen(0, HOME), screen(1, HOME), actions=[{"t": 0.8, "kind": "type", "x": 100, "y": 216, "text": "tea"}])
    assert "<Field " in source(reconstruct(features, {"0.png": png, "1.png": png}))


def test_screens_between_which_only_the_wheel_turned_are_one_tall_page() -> None:
    rows = [line(f"Row number {k} of the list", 40, 40 + 40 * k) for k in range(16)]

    def shown(top: int) -> list[dict[str, Any]]:
        moved = [line(r["text"], r["box"][0], r["box"][1] - top) for r in rows]
        return [r for r in moved if 0 <= r["box"][1] <= HEIGHT - 16]

    features = document(screen(0, shown(0)), screen(1, shown(240)), actions=[{"t": 0.8, "kind": "scroll", "dy": 500}])
    files = reconstruct(features, {})
    assert len([f for f in files if f.startswith("src/pages/")]) == 1
    assert all(lists(files).count(f'"Row number {k} of the list"') == 1 for k in range(15))
    assert f"min-height: {HEIGHT + 240}px" in files["src/styles.css"].decode()


def test_pages_share_what_they_have_in_common() -> None:
    bar = [line(t, 20 + 90 * k, 12) for k, t in enumerate(("Orders", "Teas", "People", "Reports", "About"))]
    first, second = [*bar, line("All orders", 40, 120, size=24)], [*bar, line("All teas", 40, 120, size=24)]
    click = {**CLICK, "x": 130, "y": 20, "target": None}
    files = reconstruct(document(screen(0, first), screen(1, second), actions=[click]), {})
    parts = [f for f in files if f.startswith("src/parts/")]
    assert parts and not any("Reports" in files[f].decode() for f in files if f.startswith("src/pages/"))


def menu(*names: str, y: float = 12) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Links in a row, in even distances: texts and elements."""
    texts = [line(t, 30 + 100 * k, y + 7, 50) for k, t in enumerate(names)]
    return texts, [element(f"n{k}", "link", t, 20 + 100 * k, y, 70, 30, background="#dddddd") for k, t in enumerate(names)]


def lists(files: dict[str, bytes]) -> str:
    return "\n".join(v.decode() for k, v in files.items() if k.startswith("src/lists/"))


def test_what_repeats_is_one_component_with_data_and_each_item_leads_where_it_led() -> None:
    texts, links = menu("Orders", "Teas", "People", "Reports")
    pages = [line(f"All {t}", 40, 120, size=24) for t in ("orders", "teas", "people")]
    clicks = [{**CLICK, "t": k + 0.8, "x": 145 + 100 * k, "y": 25, "target": None} for k in range(2)]
    shown = [screen(k, [*texts, p], links) for k, p in enumerate(pages)]
    files = reconstruct(document(*shown, actions=clicks), {})
    # One array for all three pages, each link with its own way.
    assert lists(files).count('label: "Reports"') == 1 and lists(files).count("readonly NavLinkProps[]") == 1
    assert re.search(r'label: "Teas", href: "/teas", control: "teas"', lists(files))
    assert re.search(r'label: "People", href: "/people", control: "people"', lists(files))
    assert re.search(r'label: "Reports", href: "#" \}', lists(files))
    used = [k for k, v in files.items() if b"navLinks.map((item) => (" in v]
    assert used and files["src/parts/NavLink.tsx"].count(b"<a ") == 1
    assert not any(t in files[k].decode() for k in files if k.startswith(("src/pages", "src/parts")) for t in (">Reports<", ">People<"))


def test_an_item_that_is_marked_says_so_as_data() -> None:
    texts, links = menu("Orders", "Teas", "People", "Reports")
    links[1] = {**links[1], "background": "#205090"}
    files = reconstruct(document(screen(0, [*texts, line("All teas", 40, 120, size=24)], links)), {})
    assert re.findall(r'label: "(\w+)",[^}]*active: true', lists(files)) == ["Teas"]
    assert "active ? " in files["src/parts/NavLink.tsx"].decode()


def test_cards_with_the_same_parts_are_one_card_and_lie_in_even_distances() -> None:
    texts, cards = [], []
    for k, (name, price) in enumerate((("Assam", "4.20"), ("Darjeeling", "7.80"), ("Keemun", "6.10"))):
        x = 40 + 190 * k + (k == 1)  # a pixel off, as it is read
        cards.append(element(f"c{k}", "card", "", x, 100, 170, 120, background="#eeeeee", border="#999999"))
        texts += [line(name, x + 16, 116), line(price, x + 16, 150)]
        cards.append(element(f"b{k}", "button", "Buy", x + 16, 180, 60, 26, background="#3060c0"))
        texts.append(line("Buy", x + 32, 185, 22))
    buy = {"t": 0.8, "kind": "click", "x": 260, "y": 193, "target": None}
    files = reconstruct(document(screen(0, [line("Teas", 40, 30, size=24), *texts], cards), screen(1, DETAIL), actions=[buy]), {})
    rows = re.findall(r"^  \{ (.*) \},$", lists(files), re.M)
    assert [re.search(r'label: "(\w+)", detail: "([\d.]+)"', r).groups() for r in rows] == [  # type: ignore[union-attr]
        ("Assam", "4.20"),
        ("Darjeeling", "7.80"),
        ("Keemun", "6.10"),
    ]
    assert ["control" in r for r in rows] == [False, True, False]
    assert not re.search(r"margin|width|height", lists(files))
    assert "gap: 20px" in files["src/styles.css"].decode()


def test_lines_of_a_paragraph_are_no_list() -> None:
    words = [line(f"This is sentence number {k} of a text", 40, 100 + 18 * k) for k in range(6)]
    assert not lists(reconstruct(document(screen(0, [line("About", 40, 30, size=24), *words])), {}))


def test_classes_that_nothing_has_are_not_in_the_style_sheet() -> None:
    texts, links = menu("Orders", "Teas", "People", "Reports")
    files = reconstruct(document(screen(0, [*texts, *HOME], links)), {})
    css = files["src/styles.css"].decode()
    named = set(re.findall(r"^\.([\w-]+) \{", css, re.M)) - {"entries"}
    assert named and all(name in source(files) for name in named)
    assert set(re.findall(r"var\(--([\w-]+)\)", css)) == set(re.findall(r"^  --([\w-]+):", css, re.M))


def test_nothing_is_placed_absolutely() -> None:
    overlapping = [line("One line", 40, 100), line("Another over it", 60, 106), line("A third", 50, 110)]
    css = reconstruct(document(screen(0, [*HOME, *overlapping], [BUTTON])), {})["src/styles.css"].decode()
    assert "absolute" not in css and "fixed;" not in css.replace("table-layout: fixed;", "")


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "{process.env.SECRET}",
        "`${alert(1)}`",
        '" onload="alert(1)',
        "\u202emoc.live//:sptth",
        "*/ alert(1) /*",
        "'); drop table orders; --",
        "\u2028{alert(1)}",
    ],
)
def test_text_from_the_picture_stays_text(text: str) -> None:
    button = element("e0", "button", text, 40, 140, 300, 32)
    field = element("e1", "input", text, 40, 200, 300, 32, placeholder=text)
    files = reconstruct(
        document(screen(0, [line(text, 40, 30), line(text, 50, 148)], [button, field]), screen(1, DETAIL), actions=[CLICK]), {}
    )
    project.check(files)
    code = source(files) + files["tests/recording.spec.ts"].decode()
    code = re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', code)  # what is left after all strings is code
    assert "alert" not in code and "process.env" not in code and "drop table" not in code
    assert "<script>alert" not in files["index.html"].decode()


def test_without_a_screen_there_is_no_application() -> None:
    with pytest.raises(FeaturesError, match="no screens"):
        reconstruct(document(), {})


@pytest.mark.parametrize(
    "change", [{"video": None}, {"video": {"width": 0, "height": 3}}, {"screens": [3]}, {"actions": {}}, {"screens": [{"t_start": "x"}]}]
)
def test_malformed_features_are_refused_with_a_reason(change: dict[str, Any]) -> None:
    with pytest.raises(FeaturesError):
        reconstruct({**document(screen(0, HOME)), **change}, {})


def test_too_many_screens_are_refused_and_as_many_as_allowed_are_not() -> None:
    many = [screen(n, [line(f"State {n}", 40, 30), line(f"Only here {n * n}", 40, 80)]) for n in range(201)]
    clicks = [{**CLICK, "t": n + 0.9} for n in range(200)]
    with pytest.raises(FeaturesError, match="201 screens"):
        reconstruct(document(*many), {})
    files = reconstruct(document(*many[:200], actions=clicks), {}, ReconstructSettings())
    project.check(files)
    assert "State 199" in source(files)


def test_a_screen_with_nothing_on_it_is_an_empty_page() -> None:
    assert "<main" in source(reconstruct(document(screen(0, [])), {"0.png": b"no picture"}))


TEXTS = st.text(min_size=1, max_size=30)
BOXES = st.tuples(st.floats(-50, 700), st.floats(-50, 450), st.floats(0, 700), st.floats(0, 450)).map(list)
KINDS = st.sampled_from(["button", "link", "input", "select", "checkbox", "radio", "image", "heading", "table", "icon", "card", "tab"])


@given(
    screens=st.lists(
        st.tuples(
            st.lists(st.fixed_dictionaries({"text": TEXTS, "box": BOXES}), max_size=8),
            st.lists(
                st.fixed_dictionaries({"kind": KINDS, "text": TEXTS, "box": BOXES, "id": st.sampled_from(["e1", "e2", "e3"])}), max_size=8
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    actions=st.lists(
        st.fixed_dictionaries(
            {"t": st.floats(0, 4), "kind": st.sampled_from(["click", "type", "scroll", "navigate", "key"]), "text": TEXTS},
            optional={
                "x": st.floats(-10, 700),
                "y": st.floats(-10, 450),
                "dy": st.floats(-900, 900),
                "target": st.sampled_from(["e1", "e2"]),
            },
        ),
        max_size=6,
    ),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_was_read_becomes_a_project(screens: list[Any], actions: list[Any]) -> None:
    shown = [screen(n, texts, elements) for n, (texts, elements) in enumerate(screens)]
    files = reconstruct(document(*shown, actions=actions), {})
    project.check(files)
    assert files == reconstruct(document(*shown, actions=actions), {})


def test_what_stays_while_the_page_scrolls_is_kept_once_and_sticks() -> None:
    bar = [line(t, 20 + 90 * k, 12) for k, t in enumerate(("Orders", "Teas", "People"))]
    rows = [(f"Row number {k} of the list", 60 + 40 * k) for k in range(16)]

    def shown(top: int) -> list[dict[str, Any]]:
        return [*bar, *(line(text, 40, y - top) for text, y in rows if 50 <= y - top <= HEIGHT - 16)]

    features = document(screen(0, shown(0)), screen(1, shown(240)), actions=[{"t": 0.8, "kind": "scroll", "dy": 240}])
    files = reconstruct(features, {})
    page = next(v.decode() for f, v in files.items() if f.startswith("src/pages/"))
    code = source(files)
    assert code.count('"People"') + code.count(">People<") == 1 and all(
        lists(files).count(f'"{text}"') == 1 for text, y in rows if y <= HEIGHT + 224
    )
    assert "<header" in page and "position: sticky" in files["src/styles.css"].decode()


def test_a_table_becomes_rows_of_data_with_a_schema() -> None:
    head = [line(t, x, 100) | {"weight": 700} for t, x in (("Name", 50), ("Stock", 200))]
    rows = [(f"Tea {chr(65 + k)}", str(7 * k)) for k in range(5)]
    body = [line(t, x, 130 + 30 * k) for k, row in enumerate(rows) for t, x in zip(row, (50, 200), strict=True)]
    table = element("e0", "table", "", 40, 92, 300, 180)
    files = reconstruct(document(screen(0, [line("Teas", 40, 30, size=24), *head, *body], [table])), {})
    page = next(v.decode() for f, v in files.items() if f.startswith("src/pages/"))
    assert "teasRows.map((row, index) => (" in page and "<th " in page and "Tea C" not in page
    assert '{ name: "Tea C", stock: 14 }' in files["src/data/tables.ts"].decode()
    sql = files["supabase/migrations/0002_tables.sql"].decode()
    assert "create table if not exists public.teas" in sql and "stock bigint" in sql and "enable row level security" in sql


def contact(**masked: Any) -> dict[str, Any]:
    """A page with two fields, a box to tick and a button that sends them off to another page."""
    labels = [
        line("Contact us", 40, 20, size=24),
        line("Your name", 40, 66),
        line("Message", 40, 126),
        line("Urgent", 64, 190),
        line("Send", 60, 228),
    ]
    fields = [
        element("f1", "input", "", 40, 84, 300, 30, placeholder="Ada"),
        element("f2", "input", "", 40, 144, 300, 30, placeholder="Hello", **masked),
        element("f3", "checkbox", "", 40, 190, 16, 16),
        element("b", "button", "Send", 40, 220, 90, 32),
    ]
    sent = {"t": 0.8, "kind": "click", "x": 80, "y": 236, "before": "s0", "after": "s1", "target": "b"}
    return document(screen(0, labels, fields), screen(1, [line("Thank you", 40, 30, size=24)]), actions=[sent])


def test_fields_sent_off_by_one_button_are_a_form_with_a_table() -> None:
    files = reconstruct(contact(), {})
    page = files["src/pages/ContactUs.tsx"].decode()
    assert "<DataForm form={contactUsForm}>" in page and 'type="submit"' in page
    forms = files["src/data/forms.ts"].decode()
    assert '"your-name": "your_name"' in forms and 'flags: ["urgent"]' in forms
    sql = files["supabase/migrations/0002_tables.sql"].decode()
    assert "create table if not exists public.contact_us_entries" in sql and "urgent boolean" in sql and "enable row level security" in sql


def test_what_asks_for_a_password_is_a_form_that_keeps_nothing() -> None:
    files = reconstruct(contact(masked=True), {})
    assert "<DataForm" in files["src/pages/ContactUs.tsx"].decode()
    assert 'table: ""' in files["src/data/forms.ts"].decode()
    assert not any(name.endswith(".sql") for name in files)


def test_one_field_that_is_searched_by_is_no_form() -> None:
    field = element("f1", "input", "", 40, 84, 300, 30, placeholder="Search")
    files = reconstruct(document(screen(0, [*HOME, line("Go", 360, 90)], [field, element("b", "button", "Go", 350, 84, 60, 30)])), {})
    assert "src/data/forms.ts" not in files


def test_a_dialog_lies_over_the_page_it_was_opened_on() -> None:
    dialog = [element("m", "modal", "", 160, 100, 320, 200), element("e1", "button", "Save", 200, 250, 80, 30)]
    inside = [line("Edit the order", 200, 130), line("Save", 220, 257)]
    features = document(
        screen(0, [*HOME, line("Open", 80, 148)], [BUTTON]),
        screen(1, [*inside, line("Three open orders", 40, 90)], dialog),
        screen(2, DETAIL),
        actions=[CLICK, {"t": 1.8, "kind": "click", "x": 240, "y": 265}],
    )
    files = reconstruct(features, {})
    page = next(v.decode() for f, v in files.items() if f.startswith("src/pages/") and b"dialog" in v)
    assert "<Orders />" in page and 'role="dialog"' in page and "Three open orders" not in page
    assert [(r["from"], r["control"], r["to"]) for r in rules(files)] == [
        ("Orders", "open", "EditTheOrder"),
        ("EditTheOrder", "save", "Order7"),
    ]


def test_the_cursor_is_no_text_of_the_page() -> None:
    texts = [*HOME, line("X", 103, 160, w=10)]
    files = reconstruct(document(screen(0, texts, [BUTTON]), screen(1, DETAIL), actions=[CLICK]), {})
    assert ">X<" not in source(files)


def test_a_line_written_in_two_colours_is_two_texts() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    cv2.putText(frame, "powered", (40, 112), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_8)
    cv2.putText(frame, "Flask", (118, 112), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 0, 0), 1, cv2.LINE_8)
    features = document(screen(0, [line("Title", 40, 30, size=24), {"text": "powered Flask", "box": [39, 98, 130, 20]}]))
    found = source(reconstruct(features, {"0.png": cv2.imencode(".png", frame)[1].tobytes()}))
    assert ">powered<" in found and ">Flask<" in found


def test_a_side_bar_stands_beside_the_content_also_where_nothing_scrolls() -> None:
    bar = [line(t, 20, 40 + 60 * k) for k, t in enumerate(("Home", "Orders", "People", "Reports", "Settings"))]
    content = [line(f"What happened in week {k}", 300, 25 + 44 * k) for k in range(8)]
    files = reconstruct(document(screen(0, [*bar, *content])), {})
    page = re.search(r"\.page-1 \{([^}]*)\}", files["src/styles.css"].decode())
    assert page is not None and "display: flex" in page[1] and "flex-direction: column" not in page[1]


def test_a_wheel_that_moves_only_a_side_bar_leads_to_a_page_of_its_own_and_back() -> None:
    entries = [line(f"Entry {'abcdefghijklmnop'[k] * 4}", 20, 20 + 40 * k) for k in range(14)]
    content = [line(f"Paragraph {'qrstuvwx'[k] * 4} of the page", 260, 30 + 45 * k) for k in range(7)]

    def scrolled(by: int) -> list[dict[str, Any]]:
        moved = [line(e["text"], 20, e["box"][1] - by) for e in entries]
        return [*(e for e in moved if 0 <= e["box"][1] <= HEIGHT - 16), *content]

    turns = [{"t": 0.95, "kind": "scroll", "x": 30, "y": 200, "dy": 160}, {"t": 1.95, "kind": "scroll", "x": 30, "y": 200, "dy": -160}]
    files = reconstruct(document(screen(0, scrolled(0)), screen(1, scrolled(160)), screen(2, scrolled(0)), actions=turns), {})
    assert [(r["on"], r["control"]) for r in rules(files)] == [("wheel", "down"), ("wheel", "up")]
    assert rules(files)[0]["to"] == rules(files)[1]["from"] and rules(files)[0]["from"] == rules(files)[1]["to"]
    assert "mouse.wheel" in files["tests/recording.spec.ts"].decode()


def test_a_field_without_a_rim_is_one_on_every_screen_that_shows_it() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    frame[200:232, 40:340] = (249, 250, 251)
    png = cv2.imencode(".png", frame)[1].tobytes()
    box = element("e0", "link", "", 40, 200, 300, 32)
    typed = {"t": 1.8, "kind": "type", "x": 100, "y": 216, "text": "tea", "before": "s1", "target": "e0"}
    screens = [screen(0, HOME), screen(1, HOME, [box]), screen(2, HOME, [box])]
    features = document(*screens, actions=[{"t": 0.95, "kind": "click", "x": 600, "y": 390}, typed])
    pages = [v.decode() for k, v in reconstruct(features, {f"{k}.png": png for k in range(3)}).items() if k.startswith("src/pages/")]
    assert pages and all("<Field " in page for page in pages)


def test_a_table_that_is_sorted_by_its_headers_is_data_and_one_table_after_scrolling() -> None:
    names = ("Acadia", "Arches", "Badlands", "Biscayne", "Denali", "Glacier", "Katmai", "Olympic", "Redwood", "Saguaro", "Sequoia", "Zion")
    head = [element("h0", "link", "Park", 40, 20, 60, 16), element("h1", "link", "Founded", 240, 20, 80, 16)]

    def shown(top: int) -> dict[str, Any]:
        texts, things = [], [*head] if not top else []
        for k, name in enumerate(names):
            y = 60 + 40 * k - top
            if 0 <= y <= HEIGHT - 16:
                texts += [line(name, 40, y, 70), line(f"{1900 + k}", 240, y, 32)]
                things.append(element(f"c{k}", "checkbox", "", 420, y, 14, 14))
        texts += [line(e["text"], e["box"][0], 20, e["box"][2]) for e in head] if not top else []
        first, last = min(t["box"][1] for t in texts), max(t["box"][1] for t in texts)
        table = element("t", "table", "", 30, first - 10, 560, last - first + 36)
        return {"texts": texts, "elements": [table, *things]}

    one, two = shown(0), shown(160)
    turn = {"t": 0.95, "kind": "scroll", "x": 100, "y": 200, "dy": 160}
    screens = [screen(k, s["texts"], s["elements"]) for k, s in enumerate((one, two))]
    files = reconstruct(document(*screens, actions=[turn]), {})
    data = files["src/data/tables.ts"].decode()
    assert all(f'park: "{name}"' in data for name in names) and data.count("founded: 19") == len(names)
    assert source(files).count("<table") == 1
    # Each row has a box to tick of its own.
    assert re.search(r"name=\{`[\w-]+-\$\{index\}`\}", source(files))
    assert "founded bigint" in files["supabase/migrations/0002_tables.sql"].decode()


def test_what_a_choice_says_is_no_picture() -> None:
    rng = np.random.default_rng(0)
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    picture[200:320, 20:260] = rng.integers(0, 255, (120, 240, 3))
    shown = [
        element("e0", "select", "Upload images", 20, 95, 200, 30, border="#cccccc", background="#ffffff"),
        element("e1", "image", "", 20, 200, 240, 120),
    ]
    features = document(screen(0, [line("Gallery", 20, 10, size=24), line("Upload images", 30, 102)], shown))
    files = reconstruct(features, {"0.png": cv2.imencode(".png", picture)[1].tobytes()})
    page = files["src/pages/Gallery.tsx"].decode()
    assert 'options={["Upload images"]}' in page
    (asset,) = (name.removeprefix("src/") for name in files if name.startswith("src/assets/"))
    assert re.findall(r'from "\.\./(assets/.*)"', page) == [asset] and f"src={{{asset[7:-4]}}}" in page


@pytest.mark.parametrize("title", ["Data Form", "React Node", "Flow Provider", "Component Type", "Current Page", "Page Id", "App"])
def test_a_page_is_not_called_as_what_the_application_imports(title: str) -> None:
    features = contact()
    features["screens"][0]["texts"][0] |= {"text": title}
    files = reconstruct(features, {})
    code = [v.decode() for k, v in files.items() if k == "src/App.tsx" or k.startswith("src/pages/")]
    for module in code:
        imported = [n.removeprefix("type ") for names in re.findall(r"^import \{ (.*) \} from", module, re.M) for n in names.split(", ")]
        declared = imported + re.findall(r"^(?:export )?(?:function|const|interface) (\w+)", module, re.M)
        assert len(declared) == len(set(declared)), declared
    assert f'title: "{title}"' in files["src/recording.ts"].decode()


@pytest.mark.parametrize("title, name", [("Import", "importTable"), ("Image library", "imageLibrary"), ("Use rows", "useRows2")])
def test_a_table_can_be_called_as_a_word_of_the_language_or_as_a_picture(title: str, name: str) -> None:
    head = [line(t, x, 100) | {"weight": 700} for t, x in (("Name", 50), ("Stock", 200))]
    body = [line(t, x, 130 + 30 * k) for k in range(5) for t, x in ((f"Tea {chr(65 + k)}", 50), (str(7 * k), 200))]
    files = reconstruct(
        document(screen(0, [line(title, 40, 30, size=24), *head, *body], [element("e0", "table", "", 40, 92, 300, 180)])), {}
    )
    assert f"export const {name}: " in files["src/data/tables.ts"].decode() and f"{name}Rows.map(" in source(files)


def test_fields_that_say_true_or_false_are_texts_and_boxes_are_ticked() -> None:
    said = ["true", "false", "false", "true"]
    rows = [(v, 60 + 50 * k) for k, v in enumerate(said)]
    fields = [element(f"e{y}", "input", v, 20, y, 200, 30, border="#cccccc", background="#ffffff") for v, y in rows]
    files = reconstruct(document(screen(0, [line("Settings", 20, 10, size=24), *(line(v, 30, y + 7) for v, y in rows)], fields)), {})
    assert "boolean" not in source(files) and re.search(r"initial=\{(\w+)\}", source(files))
    boxes = [element(f"e{y}", "checkbox", "", 20, y, 16, 16, checked=v == "true") for v, y in rows]
    texts = [line(f"Option {'ABCD'[k]}", 44, y) for k, (_, y) in enumerate(rows)]
    ticked = source(reconstruct(document(screen(0, [line("Settings", 20, 10, size=24), *texts], boxes)), {}))
    assert "readonly initial: boolean;" in ticked and "initial: true" in ticked
