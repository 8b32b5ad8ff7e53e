"""A notebook run as an application: marimo run marimo_app.py"""

import marimo

app = marimo.App(width="medium", app_title="Pallet count")


@app.cell
def _():
    import random

    import marimo as mo
    from content import NOUNS, PLACES, sentence

    choose = random.Random(6)
    mo.md(f"# Pallet count\n\n{sentence(choose)}")
    return NOUNS, PLACES, choose, mo


@app.cell
def _(NOUNS, PLACES, mo):
    name = mo.ui.text(label="Counted by", placeholder="Your name")
    place = mo.ui.dropdown(PLACES, value=PLACES[0], label="Place")
    kinds = [mo.ui.checkbox(label=noun.title()) for noun in NOUNS[:4]]
    send = mo.ui.run_button(label="Count")
    mo.vstack(
        [mo.hstack([name, place], justify="start"), *kinds, mo.ui.radio(["Full", "Half", "Empty"], value="Full", label="State"), send]
    )
    return name, place, send


@app.cell
def _(name, place, mo):
    mo.md(f"## Report\n\nCounted by **{name.value or 'nobody'}** in {place.value}. See [the rules](?rules=1).")
    return


@app.cell
def _(NOUNS, PLACES, choose, mo):
    mo.ui.table(
        [
            {"Pallet": f"{n.title()} {choose.randint(100, 999)}", "City": choose.choice(PLACES), "Weight": choose.randint(1, 900)}
            for n in NOUNS[:9]
        ]
    )
    return


if __name__ == "__main__":
    app.run()
