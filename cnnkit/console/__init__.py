"""Terminal output: text, progress, and a module for the tables of each command."""
