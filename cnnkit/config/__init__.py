"""Reading a config: the safe YAML loader with line numbers, the schema, overrides. No TensorFlow in here."""

from cnnkit.config.load import LoadedConfig, load, load_document

__all__ = ["LoadedConfig", "load", "load_document"]
