"""A starter config for the user's own data: summarize the data, measure what depends on it, decide, write."""
