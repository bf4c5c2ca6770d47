"""Metrics, tables and plots of how good a model is."""
