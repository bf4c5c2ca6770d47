"""Plots of metrics and examples as PNG files."""
