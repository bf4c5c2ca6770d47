"""The commands, a file a group: each parses its arguments, calls one function and prints its report."""
