"""Pages made up of Streamlit's controls, as in ``widget_app``: ``streamlit run streamlit_widgets.py``; ``/?p=0`` to ``/?p=7`` differ."""

from __future__ import annotations

from random import Random
from typing import Any

import streamlit as st
from widget_app import VERBS, noun, picture, records, rows, words

r = Random(int(st.query_params.get("p", "0")))
count = iter(range(10**6))
st.set_page_config(page_title="Harbour", layout=r.choice(["wide", "centered"]))


def part() -> Any:
    key = str(next(count))
    return r.choice(
        [
            lambda: st.text_input(noun(r), placeholder=words(r, 2), key=key),
            lambda: st.selectbox(noun(r), [noun(r) for _ in range(4)], key=key),
            lambda: st.multiselect(noun(r), [*rows(r)], key=key),
            lambda: st.checkbox(words(r, 2), key=key),
            lambda: st.toggle(words(r, 2), key=key),
            lambda: st.radio(noun(r), [noun(r) for _ in range(3)], horizontal=r.random() < 0.5, key=key),
            lambda: st.slider(noun(r), 0, 90, r.randint(1, 80), key=key),
            lambda: st.number_input(noun(r), 0, 90, r.randint(1, 80), key=key),
            lambda: st.text_area(noun(r), key=key),
            lambda: st.date_input(noun(r), key=key),
            lambda: st.button(r.choice(VERBS), type=r.choice(["primary", "secondary", "tertiary"]), key=key),
            lambda: st.link_button(noun(r), "/?p=1"),
            lambda: st.pills(noun(r), [*rows(r)], key=key),
            lambda: st.segmented_control(noun(r), [*rows(r)], key=key),
            lambda: st.file_uploader(noun(r), key=key),
            lambda: st.subheader(words(r, 3)),
            lambda: st.header(words(r, 2), divider=r.random() < 0.3),
            lambda: st.markdown(f"{words(r, 9)} [{noun(r)}](/?p=2) {words(r, 4)}"),
            lambda: st.image(picture(r)),
            lambda: st.table(records(r)),
            lambda: st.dataframe(records(r), key=key),
            lambda: st.metric(noun(r), r.randint(1, 900), r.randint(-9, 9)),
            lambda: st.bar_chart([r.random() for _ in range(6)], height=200),
            lambda: st.info(words(r, 7)),
        ]
    )()


st.title(words(r, 2))
with st.sidebar:
    for _ in range(r.randint(0, 6)):
        part()
if r.random() < 0.4:
    for tab in st.tabs([noun(r) for _ in range(3)]):
        with tab:
            for _ in range(3):
                part()
for column in st.columns(r.randint(1, 3)):
    with column, st.container(border=r.random() < 0.4):
        for _ in range(r.randint(2, 6)):
            part()
with st.expander(noun(r), expanded=r.random() < 0.5), st.form(noun(r)):
    part_of = [st.text_input(noun(r)), st.form_submit_button(r.choice(VERBS))]
    del part_of
