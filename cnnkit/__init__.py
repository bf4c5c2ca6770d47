"""Train convolutional neural networks with Keras from a YAML file."""

__version__ = "0.1.0"
