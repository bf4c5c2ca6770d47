"""Call a layer on a symbolic tensor, and explain shape errors in terms of the config."""

import inspect
from collections.abc import Sequence
from typing import Any

from cnnkit.data.rows import available_memory
from cnnkit.errors import BuildError, Fault, Path
from cnnkit.keras_api.building import first_sentence
from cnnkit.keras_api.compat import VariableLimitError, limited_variables, merges_inputs

BYTES = 4  # per float32 weight

_AXES = {2: "(features)", 3: "(steps, channels)", 4: "(height, width, channels)", 5: "(depth, height, width, channels)"}


def call_layer(layer: Any, tensor: Any, path: Path, shrinking: Sequence[Path], flattening: Sequence[Path]) -> Any:
    """The layer's output for a symbolic tensor.

    Args:
        layer: The layer.
        tensor: Symbolic input `(batch, …)`.
        path: Path of the layer's config entry.
        shrinking: Paths of earlier layers that reduced the spatial size.
        flattening: Paths of earlier layers that removed the spatial axes.

    Raises:
        BuildError: The layer rejects the tensor; with the input shape and a remedy.
    """
    import tensorflow as tf

    fault = _wrong_rank(layer, tensor, path, flattening) or _window_too_large(layer, tensor, path, shrinking) or _wants_several(layer, path)
    if fault:
        raise BuildError(fault)
    required = [
        parameter
        for parameter in inspect.signature(layer.call).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    free = available_memory()
    try:  # a layer of several required inputs, such as MultiHeadAttention, attends to the tensor itself
        with limited_variables(free // BYTES):
            output = layer(*[tensor] * max(1, len(required)))
    except VariableLimitError as error:
        needed, there = BYTES * error.elements / 2**30, free / 2**30
        message = f"{type(layer).__name__} on the incoming {format_shape(tensor.shape[1:])} needs more memory than there is"
        details = f"{message}: {error.elements:,} weights take {needed:,.1f} GB, and {there:.1f} GB are free"
        raise BuildError(Fault(path, details, "Make it smaller, or pool before it.", on_key=True)) from error
    except (ValueError, TypeError, IndexError, AttributeError, ZeroDivisionError, tf.errors.InvalidArgumentError) as error:
        raise BuildError(_cannot_take(layer, tensor, path, first_sentence(error))) from error
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        message = f"{type(layer).__name__} on the incoming {format_shape(tensor.shape[1:])} needs more memory than there is"
        raise BuildError(Fault(path, message, "Make it smaller, or pool before it.", on_key=True)) from error
    if isinstance(output, list | tuple | dict):
        message = f"{type(layer).__name__} gives several outputs here, but the next layer takes one"
        raise BuildError(Fault(path, message, "Leave out arguments such as `return_state`.", on_key=True))
    if any(size is not None and size <= 0 for size in output.shape[1:]):
        message = f"nothing is left of the incoming {format_shape(tensor.shape[1:])}: the output would be {format_shape(output.shape[1:])}"
        raise BuildError(Fault(path, message, _less_shrinking(shrinking), on_key=True, related=_last(shrinking)))
    return output


def format_shape(shape: Sequence[int | None]) -> str:
    """A shape without the batch, formatted for messages: `(2, 2, 64)`."""
    return str(tuple(shape))


def _wrong_rank(layer: Any, tensor: Any, path: Path, flattening: Sequence[Path]) -> Fault | None:
    spec = getattr(layer, "input_spec", None)
    if spec is None or isinstance(spec, list | tuple | dict):
        return None
    rank = len(tensor.shape)
    wanted = spec.ndim or spec.min_ndim or rank
    if rank == wanted or (spec.ndim is None and rank > wanted and not hasattr(layer, "kernel_size")):
        return None
    name = type(layer).__name__
    message = f"{name} wants {_AXES.get(wanted, f'{wanted - 1} axes')}, but the incoming shape is {format_shape(tensor.shape[1:])}"
    if rank < wanted and flattening:
        return Fault(
            path, message, f"Put {name} before the layer on {{related}}, which takes these axes away.", on_key=True, related=flattening[-1]
        )
    other = name.replace(f"{wanted - 2}D", f"{rank - 2}D")
    remedy = f"Use {other}." if other != name and rank > 2 else "Use Reshape before it."
    return Fault(path, message, remedy, on_key=True)


def _window_too_large(layer: Any, tensor: Any, path: Path, shrinking: Sequence[Path]) -> Fault | None:
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if window is None or getattr(layer, "padding", None) != "valid" or getattr(layer, "data_format", "") == "channels_first":
        return None
    if "Transpose" in type(layer).__name__:  # it upsamples
        return None
    window = (window,) if isinstance(window, int) else tuple(window)
    dilation = getattr(layer, "dilation_rate", 1)
    dilation = (dilation,) * len(window) if isinstance(dilation, int) else tuple(dilation)
    effective_size = tuple((size - 1) * rate + 1 for size, rate in zip(window, dilation, strict=True))
    incoming = tuple(tensor.shape[1:-1])
    if len(incoming) != len(effective_size) or all(
        have is None or have >= want for have, want in zip(incoming, effective_size, strict=True)
    ):
        return None
    message = f"a {'x'.join(map(str, effective_size))} window does not fit the incoming {format_shape(tensor.shape[1:])}"
    remedy = "Use `padding: same`" + (", or drop the layer on {related}, which shrinks it." if shrinking else ", or a smaller window.")
    return Fault(path, message, remedy, on_key=True, related=_last(shrinking))


def _wants_several(layer: Any, path: Path) -> Fault | None:
    if not merges_inputs(layer):
        return None
    name = type(layer).__name__
    return Fault(path, f"{name} merges several inputs, but a list of layers hands on one", "Use a `branches` block.", on_key=True)


def _cannot_take(layer: Any, tensor: Any, path: Path, reason: str) -> Fault:
    name = type(layer).__name__
    return Fault(path, f"{name} cannot take the incoming {format_shape(tensor.shape[1:])}", f"Keras says: {reason}", on_key=True)


def _less_shrinking(shrinking: Sequence[Path]) -> str:
    return "Drop the layer on {related}, which shrinks it, or use a larger input." if shrinking else "Use a larger input."


def _last(paths: Sequence[Path]) -> Path:
    return paths[-1] if paths else ()
