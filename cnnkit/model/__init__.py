"""Layers and blocks to a Keras model; pretrained bases; the summary."""
