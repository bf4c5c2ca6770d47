"""The valid range of a numeric argument of a Keras object, by its name or its documentation."""

import re

from cnnkit.keras_api.signatures import Argument

_COUNTS = {  # arguments of layers that are counts, sizes or strides: at least 1
    "filters", "units", "kernel_size", "pool_size", "strides", "dilation_rate", "groups", "depth_multiplier", "size", "output_size",
    "height", "width", "n", "num_heads", "key_dim", "value_dim", "head_dim", "num_query_heads", "num_key_value_heads", "input_dim",
    "output_dim", "num_tokens", "num_bins",
}  # fmt: skip


def violated_range(argument: Argument, name: str | int, value: object) -> str:
    """The valid range that a number, or a number of a list, violates; empty where it violates none."""
    numbers = [number for number in (value if isinstance(value, list) else [value]) if isinstance(number, int | float)]
    if argument.between:
        low, high = argument.between
        return f"a number from {low:g} to {high:g}" if not isinstance(value, list) and not all(low <= n <= high for n in numbers) else ""
    minimum = _minimum(argument, name)
    return f"at least {minimum}" if minimum is not None and any(number < minimum for number in numbers) else ""


def _minimum(argument: Argument, name: str | int) -> int | None:
    """The minimum of an argument, by its name or its documentation; None where unknown."""
    documentation = argument.description.lower()
    if "integer" in argument.takes and (name in _COUNTS or re.search(r"positive int", documentation)):
        return 1
    return 0 if re.search(r"^float >= 0|non-negative", documentation) else None
