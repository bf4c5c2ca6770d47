"""A run's folder: paths, lock, model metadata, history, listing, reopening with its data."""
