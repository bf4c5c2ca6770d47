"""Fuzzing of all that reads files: `python -m tests.fuzz 10000`."""
