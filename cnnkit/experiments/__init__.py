"""Comparisons of several runs, and a starter config for new data."""
