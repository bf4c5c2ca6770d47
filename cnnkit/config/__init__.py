"""Reading a config: the safe YAML loader with line numbers, the schema, overrides. No TensorFlow in here."""
