"""Where examples come from: one file a source, then the batches that training and evaluation read."""
