"""Several workers of one training on this machine, restarted from the last checkpoint when one dies."""
