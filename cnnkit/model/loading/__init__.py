"""Model and weights files of unknown origin, checked before Keras reads them."""
