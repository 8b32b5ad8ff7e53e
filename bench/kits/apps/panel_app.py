"""A dashboard in Panel with Material's template: panel serve panel_app.py"""

from __future__ import annotations

import random

import panel as pn
from content import NOUNS, PLACES, sentence

choose = random.Random(5)
pn.extension()
rows = "".join(
    f"<tr><td>{n.title()} {choose.randint(100, 999)}</td><td>{choose.choice(PLACES)}</td><td>{choose.randint(1, 900)}</td></tr>"
    for n in NOUNS[:8]
)
table = pn.pane.HTML(f"<table><tr><th>Name</th><th>City</th><th>Price</th></tr>{rows}</table>")
form = pn.Column(
    pn.widgets.TextInput(name="Carrier", placeholder="Name of the carrier"),
    pn.widgets.Select(name="Harbour", options=PLACES),
    pn.widgets.Checkbox(name="Customs are paid"),
    pn.widgets.RadioBoxGroup(name="Way", options=["Ship", "Truck", "Rail"]),
    pn.widgets.Button(name="Book", button_type="primary"),
)
side = [
    pn.pane.Markdown("## Filter"),
    pn.widgets.TextInput(name="Search"),
    pn.widgets.Checkbox(name="Open only"),
    pn.widgets.Button(name="Apply"),
]
tabs = pn.Tabs(
    ("Book", form),
    ("Bookings", table),
    ("About", pn.pane.Markdown(f"### How it works\n{sentence(choose)}\n\n[Handbook](/panel_app?handbook)")),
)
pn.template.MaterialTemplate(title="Carrier bookings", sidebar=side, main=[tabs]).servable()
