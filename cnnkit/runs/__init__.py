"""A run's folder: paths, lock, model metadata, history, listing, opening it again."""
