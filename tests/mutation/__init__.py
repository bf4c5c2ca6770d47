"""Mutation testing: a seeded sample of small faults put into cnnkit, and how many of them the tests catch."""
