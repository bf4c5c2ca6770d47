"""The Python interface: a function for each command, and a run as an object; `import cnnkit` offers it without importing it."""
