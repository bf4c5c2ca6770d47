"""Several runs: comparing them, and writing a config to start from."""
