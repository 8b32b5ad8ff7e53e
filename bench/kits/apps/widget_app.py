"""Pages made up of a widget library's controls, served: ``python widget_app.py PORT nicegui|dash|gradio|panel``.

Each address ``/p0`` to ``/p7`` shows other controls in another order.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Any

NOUNS = [
    "Vessel",
    "Harbour",
    "Crane",
    "Berth",
    "Ticket",
    "Invoice",
    "Route",
    "Sensor",
    "Alert",
    "Cargo",
    "Pilot",
    "Lock",
    "Buoy",
    "Tide",
    "Customer",
    "Report",
]
VERBS = ["Save", "Create", "Assign", "Remove", "Export", "Refresh", "Search", "Approve", "Archive", "Connect", "Run", "Cancel"]
PAGES = 8


def words(r: Random, n: int) -> str:
    return " ".join(
        r.choice(NOUNS) if r.random() < 0.4 else r.choice(["the", "of", "new", "with", "open", "each", "after", "large", "weekly", "from"])
        for _ in range(n)
    ).capitalize()


def noun(r: Random) -> str:
    return r.choice(NOUNS) + r.choice(["", "", " name", " status", "s", f" {r.randint(1, 40)}"])


def rows(r: Random) -> dict[str, list[Any]]:
    return {n: [r.choice([noun(r), str(r.randint(1, 9000))]) for _ in range(6)] for n in r.sample(NOUNS, r.randint(3, 5))}


def records(r: Random) -> list[dict[str, Any]]:
    columns = rows(r)
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def picture(r: Random, width: int = 240, height: int = 140) -> str:
    """A data address of a drawing."""
    shapes = "".join(
        f"<circle cx='{r.randint(0, 100)}' cy='{r.randint(0, 100)}' r='{r.randint(6, 40)}' fill='hsl({r.randrange(360)} 60% 50%)'/>"
        for _ in range(7)
    )
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 100 100' preserveAspectRatio='none'><rect width='100' height='100' fill='hsl({r.randrange(360)} 40% 80%)'/>{shapes}</svg>"
    return "data:image/svg+xml," + svg.replace("#", "%23").replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")


def on_nicegui(port: int) -> None:
    from nicegui import ui

    def page(n: int) -> None:
        r = Random(n)
        ui.dark_mode(r.random() < 0.3)
        with ui.header():
            ui.label(noun(r)).classes("text-h6")
            for _ in range(r.randint(1, 4)):
                ui.link(noun(r), f"/p{r.randrange(PAGES)}").classes("text-white")
            ui.button(icon="menu").props("flat color=white")
        for _ in range(r.randint(2, 4)):
            with ui.card() if r.random() < 0.6 else ui.row():
                ui.html(f"<h{(level := r.randint(2, 5))} class='text-h{level + 1}'>{words(r, 2)}</h{level}>", sanitize=False)
                for _ in range(r.randint(2, 4)):
                    r.choice(
                        [
                            lambda: ui.input(noun(r), placeholder=words(r, 2)).props(r.choice(["", "outlined", "filled", "dense"])),
                            lambda: ui.select([noun(r) for _ in range(3)], label=noun(r)).props(r.choice(["", "outlined"])),
                            lambda: ui.button(r.choice(VERBS)).props(r.choice(["", "outline", "flat", "color=red", "rounded"])),
                            lambda: ui.number(noun(r), value=r.randint(1, 50)),
                            lambda: ui.textarea(noun(r)),
                            lambda: ui.link(noun(r), "/p0"),
                            lambda: ui.label(words(r, 9)),
                            lambda: ui.image(picture(r)).style("width:220px"),
                            lambda: ui.table(rows=records(r)),
                        ]
                    )()

    for n in range(PAGES):
        ui.page(f"/p{n}")(lambda n=n: page(n))
    ui.run(host="127.0.0.1", port=port, show=False, reload=False, storage_secret="x")


def on_dash(port: int) -> None:
    import dash
    import flask
    from dash import dash_table, dcc, html

    server = flask.Flask(__name__)
    for n in range(PAGES):
        r = Random(n)
        app = dash.Dash(__name__ + str(n), server=server, url_base_pathname=f"/p{n}/", serve_locally=True)

        def part(r: Random = r) -> Any:
            return r.choice(
                [
                    lambda: dcc.Input(placeholder=words(r, 2), style={"margin": 6}),
                    lambda: dcc.Dropdown([noun(r) for _ in range(4)], placeholder=noun(r), style={"width": 260}),
                    lambda: dcc.Checklist([noun(r) for _ in range(3)], [], inline=r.random() < 0.5),
                    lambda: dcc.RadioItems([noun(r) for _ in range(3)], inline=r.random() < 0.5),
                    lambda: html.Button(r.choice(VERBS), style={"margin": 4}),
                    lambda: html.P([words(r, 8), " ", html.A(noun(r), href="/p1/")]),
                    lambda: html.Img(src=picture(r), style={"width": 260}),
                    lambda: dcc.Graph(
                        figure={"data": [{"x": [1, 2, 3, 4], "y": [r.random() for _ in range(4)], "type": r.choice(["bar", "scatter"])}]},
                        style={"height": 240, "width": 420},
                    ),
                    lambda: dash_table.DataTable(records(r)),
                    lambda: dcc.Textarea(value=words(r, 6)),
                    lambda: html.Ul([html.Li(html.A(noun(r), href="/p2/")) for _ in range(4)]),
                    lambda: html.H3(words(r, 3)),
                ]
            )()

        app.layout = html.Div(
            [
                html.H1(words(r, 2)),
                html.Div(
                    [html.Div([part() for _ in range(r.randint(3, 6))], style={"flex": 1, "padding": 12}) for _ in range(r.randint(1, 3))],
                    style={"display": "flex"},
                ),
            ],
            style={"fontFamily": r.choice(["sans-serif", "Arial", "serif"]), "margin": r.choice([8, 24, 40])},
        )
    server.run(host="127.0.0.1", port=port)


def on_gradio(port: int) -> None:
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    whole = FastAPI()
    for n in range(PAGES):
        r = Random(n)
        theme = r.choice([gr.themes.Default, gr.themes.Soft, gr.themes.Base, gr.themes.Glass, gr.themes.Monochrome])()

        def part(r: Random = r) -> Any:
            return r.choice(
                [
                    lambda: gr.Textbox(label=noun(r), placeholder=words(r, 3), lines=r.choice([1, 1, 3])),
                    lambda: gr.Dropdown([noun(r) for _ in range(4)], label=noun(r)),
                    lambda: gr.Checkbox(label=words(r, 3), value=r.random() < 0.5),
                    lambda: gr.CheckboxGroup([noun(r) for _ in range(3)], label=noun(r)),
                    lambda: gr.Radio([noun(r) for _ in range(3)], label=noun(r)),
                    lambda: gr.Slider(0, 90, r.randint(1, 80), label=noun(r)),
                    lambda: gr.Number(r.randint(1, 80), label=noun(r)),
                    lambda: gr.Button(r.choice(VERBS), variant=r.choice(["primary", "secondary", "stop"])),
                    lambda: gr.Dataframe([*rows(r).values()], headers=None),
                    lambda: gr.Markdown(f"{'#' * r.randint(2, 4)} {words(r, 3)}\n{words(r, 9)} [{noun(r)}](/p1) {words(r, 4)}"),
                    lambda: gr.HTML(f'<img src="{picture(r)}">'),
                    lambda: gr.File(label=noun(r)),
                    lambda: gr.Label({noun(r): 0.7, noun(r): 0.3}),
                ]
            )()

        with gr.Blocks() as demo:
            gr.Markdown(f"# {words(r, 2)}\n{words(r, 12)}")
            if r.random() < 0.4:
                for _ in range(r.randint(2, 3)):
                    with gr.Tab(noun(r)):
                        for _ in range(4):
                            part()
            for _ in range(r.randint(1, 3)):
                with gr.Row():
                    for _ in range(r.randint(1, 3)):
                        with gr.Column():
                            for _ in range(r.randint(1, 4)):
                                part()
        gr.mount_gradio_app(whole, demo, f"/p{n}", theme=theme)
    uvicorn.run(whole, host="127.0.0.1", port=port, log_level="error")


def on_panel(port: int) -> None:
    import pandas as pd
    import panel as pn

    pn.extension("tabulator")
    templates = [pn.template.FastListTemplate, pn.template.MaterialTemplate, pn.template.BootstrapTemplate, pn.template.VanillaTemplate]

    def page(n: int) -> Any:
        r = Random(n)
        w = pn.widgets

        def part() -> Any:
            return r.choice(
                [
                    lambda: w.TextInput(name=noun(r), placeholder=words(r, 2)),
                    lambda: w.Select(name=noun(r), options=[noun(r) for _ in range(4)]),
                    lambda: w.Checkbox(name=words(r, 2), value=r.random() < 0.5),
                    lambda: w.CheckBoxGroup(options=[noun(r) for _ in range(3)], inline=r.random() < 0.5),
                    lambda: w.RadioBoxGroup(options=[noun(r) for _ in range(3)], inline=r.random() < 0.5),
                    lambda: w.RadioButtonGroup(options=[noun(r) for _ in range(3)]),
                    lambda: w.Button(name=r.choice(VERBS), button_type=r.choice(["default", "primary", "success", "danger", "light"])),
                    lambda: w.IntInput(name=noun(r), value=r.randint(1, 80)),
                    lambda: w.TextAreaInput(name=noun(r)),
                    lambda: w.DatePicker(name=noun(r)),
                    lambda: w.FileInput(),
                    lambda: w.Tabulator(pd.DataFrame(rows(r)), show_index=False),
                    lambda: pn.pane.DataFrame(pd.DataFrame(rows(r))),
                    lambda: pn.pane.Markdown(f"{'#' * r.randint(1, 4)} {words(r, 3)}\n{words(r, 9)} [{noun(r)}](/p1) {words(r, 4)}"),
                    lambda: pn.pane.HTML(f"<img src='{picture(r)}'>"),
                    lambda: pn.Card(words(r, 9), title=noun(r)),
                    lambda: pn.Tabs(*((noun(r), w.TextInput(name=noun(r))) for _ in range(3))),
                ]
            )()

        template = r.choice(templates)(title=noun(r), theme="dark" if r.random() < 0.25 else "default")
        for _ in range(r.randint(0, 5)):
            template.sidebar.append(part())
        for _ in range(r.randint(2, 4)):
            template.main.append(pn.Row(*(pn.Column(*(part() for _ in range(r.randint(1, 4)))) for _ in range(r.randint(1, 3)))))
        return template

    pn.serve({f"p{n}": (lambda n=n: page(n)) for n in range(PAGES)}, port=port, address="127.0.0.1", show=False, title="Harbour")


if __name__ in ("__main__", "__mp_main__"):
    globals()["on_" + sys.argv[2]](int(sys.argv[1]))
