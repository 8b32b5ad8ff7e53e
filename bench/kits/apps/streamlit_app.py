"""A page of figures and a form in Streamlit: streamlit run streamlit_app.py"""

from __future__ import annotations

import random

import streamlit as st
from content import NOUNS, PLACES, sentence

choose = random.Random(3)
st.set_page_config(page_title="Harbour desk", layout="wide")
page = st.sidebar.radio("Go to", ["Overview", "Tickets", "Settings"])
st.sidebar.checkbox("Show closed")
st.sidebar.selectbox("Harbour", PLACES)
if page == "Overview":
    st.title("Harbour desk")
    for column, noun in zip(st.columns(3), NOUNS, strict=False):
        column.metric(f"Open {noun}s", choose.randint(3, 90), choose.randint(-9, 9))
    st.write(sentence(choose))
    st.table(
        [
            {"Name": f"{n.title()} {choose.randint(100, 999)}", "City": choose.choice(PLACES), "Price": choose.randint(1, 900)}
            for n in NOUNS[:7]
        ]
    )
elif page == "Tickets":
    st.header("New ticket")
    with st.form("ticket"):
        st.text_input("Title")
        st.text_area("What happened")
        st.number_input("Weight", 0, 900, 12)
        st.form_submit_button("Send")
    with st.expander("Older tickets"):
        st.write(sentence(choose))
else:
    st.header("Settings")
    for tab, noun in zip(st.tabs(["Mail", "People", "Limits"]), NOUNS, strict=False):
        with tab:
            st.subheader(noun.title())
            st.text_input("Address", key=f"address {noun}")
            st.checkbox(f"Tell me of every {noun}", key=f"tell {noun}")
            st.button("Save", key=f"save {noun}")
