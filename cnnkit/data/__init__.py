"""Data sources, splits and preprocessing, up to the batches that training and evaluation read."""
