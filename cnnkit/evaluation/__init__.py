"""How good a model is, as numbers: plain arrays in, frozen records out."""
