"""Replay: records of the past, chosen, taken up in a run of their own, and held against what became of them the first time.

``selection`` says which records, ``log`` where they lie (Kafka, or the archive beyond its retention), ``scan`` reads and counts them, ``feed``
publishes them at a pace and within a budget, ``control`` keeps how far a run has come and what an operator wants of it, ``compare`` holds a run
against its parent. What a run is stands in ``streams.runs``.
"""
