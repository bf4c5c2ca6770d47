"""Build a Keras model from a config's layers and blocks; pretrained bases; saving, loading and summary."""
