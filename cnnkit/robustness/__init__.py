"""Robustness: evaluate a trained model on corrupted inputs."""
