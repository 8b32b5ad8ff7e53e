"""Holds an artifact against what it must be: gates in order of cost (``validator``), one verdict, one report."""
