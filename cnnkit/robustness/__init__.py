"""Corrupt the inputs of a trained model and measure what it withstands."""
