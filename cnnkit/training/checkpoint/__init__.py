"""Checkpoints for exact resume: one schema of the training state, atomic files, SHA-256, no pickle."""
