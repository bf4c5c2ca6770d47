"""The arithmetic of shapes, parameters and receptive fields."""
