"""The commands, one file each: parse arguments, call one function, print its result."""
