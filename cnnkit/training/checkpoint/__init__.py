"""CheckpointStore for exact resume."""
