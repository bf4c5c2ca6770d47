"""Checks of model files of unknown origin before a runtime loads them: sizes, other files they name, operators that are not builtin."""
