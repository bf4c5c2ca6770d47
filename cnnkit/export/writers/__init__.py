"""A Keras model as a file of another format: one writer a format."""
