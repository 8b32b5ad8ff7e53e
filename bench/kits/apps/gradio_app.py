"""A form that answers and a table in Gradio: python gradio_app.py PORT"""

from __future__ import annotations

import random
import sys

import gradio as gr
from content import NOUNS, PLACES, sentence

choose = random.Random(4)
with gr.Blocks(title="Parcel quotes", analytics_enabled=False) as page:
    gr.Markdown(f"# Parcel quotes\n{sentence(choose)}")
    with gr.Tab("Quote"):
        with gr.Row():
            with gr.Column():
                name = gr.Textbox(label="Sender")
                goes = gr.Dropdown(PLACES, label="Destination", value=PLACES[2])
                weight = gr.Slider(1, 50, value=7, step=1, label="Weight")
                fragile = gr.Checkbox(label="Fragile")
                gr.Radio(["Ship", "Truck", "Rail"], label="Way", value="Ship")
            with gr.Column():
                answer = gr.Textbox(label="Quote", lines=4)
                ask = gr.Button("Ask for a quote", variant="primary")
                gr.ClearButton([name, answer], value="Clear")
        ask.click(lambda n, g, w, f: f"{n or 'Nobody'} to {g}: {w * (3 if f else 2)} euro", [name, goes, weight, fragile], answer)
    with gr.Tab("Parcels"):
        gr.Dataframe(
            [[f"{n.title()} {choose.randint(100, 999)}", choose.choice(PLACES), choose.randint(1, 900)] for n in NOUNS],
            headers=["Name", "City", "Price"],
        )
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
