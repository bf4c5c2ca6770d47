"""Fitting a model and the run directory it leaves behind."""
