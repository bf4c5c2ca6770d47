"""Bias correction for int8: what rounding a kernel adds to the mean of each channel is taken off its bias.

The rounding errors of a kernel's few weights do not cancel where they meet inputs of one sign, as after a ReLU, so a whole channel is
shifted; in the depthwise convolutions of MobileNetV2 by so much that accuracy falls by a point. (Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction", section 4.2; here the mean is measured on the calibration examples.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnkit.keras_api.compat import all_uses

if TYPE_CHECKING:
    import keras

Array = npt.NDArray[Any]

EXAMPLES = 128  # whose mean is taken; it hardly changes with more
BATCH = 16
LEVELS = 127  # of int8 on each side of zero


@contextmanager
def corrected_biases(model: "keras.Model", inputs: Array) -> Iterator[None]:
    """Context manager: the model's convolutions have corrected biases, as an int8 file of it wants them; afterwards they are as before.

    A convolution without bias is corrected by the moving mean of the BatchNormalization that follows it, and left as it is where none
    does.

    Args:
        model: From raw inputs to outputs.
        inputs: Calibration examples `(n, …)`.
    """
    before: list[tuple[Any, Array]] = []
    try:
        for variable, shift in _shifts(model, inputs[:EXAMPLES].astype(np.float32)):
            before.append((variable, np.array(variable)))
            variable.assign_add(shift)
        yield
    finally:
        for variable, value in reversed(before):
            variable.assign(value)


def rounded(kernel: Array, axes: tuple[int, ...]) -> Array:
    """A kernel rounded to int8, symmetric and per channel, in float32.

    Args:
        kernel: Of any shape.
        axes: All axes but those of the channels.
    """
    step = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), np.finfo(np.float32).tiny) / LEVELS
    result: Array = (np.round(kernel / step) * step).astype(np.float32)
    return result


def _shifts(model: "keras.Model", inputs: Array) -> list[tuple[Any, Array]]:
    """Each variable to change and what to add to it; nested models included."""
    import keras

    layers = [each for each in model.layers if len(all_uses(each)) == 1 and isinstance(each, keras.Model | _convolutions())]
    if not layers:
        return []
    taken = keras.Model(model.input, [all_uses(layer)[0].input_tensors[0] for layer in layers])
    variables = {id(layer): _bias_of(model, layer) for layer in layers if not isinstance(layer, keras.Model)}
    totals: dict[int, Array] = {}
    nested: dict[int, list[Array]] = {id(layer): [] for layer in layers if isinstance(layer, keras.Model)}
    for start in range(0, len(inputs), BATCH):
        found = taken(inputs[start : start + BATCH], training=False)
        for layer, batch in zip(layers, found if isinstance(found, list) else [found], strict=True):
            if id(layer) in nested:
                nested[id(layer)].append(np.asarray(batch))
            elif variables[id(layer)] is not None:
                totals[id(layer)] = totals.get(id(layer), 0) + _sum_of_errors(layer, batch)
    shifts = []
    for layer in layers:
        if id(layer) in nested:
            shifts += _shifts(layer, np.concatenate(nested[id(layer)]))
        elif (place := variables[id(layer)]) is not None:
            variable, sign = place
            shifts.append((variable, (sign * totals[id(layer)] / len(inputs)).astype(np.float32)))
    return shifts


def _convolutions() -> Any:
    """The classes of layers that are corrected."""
    import keras

    layers = keras.layers
    return layers.Conv1D | layers.Conv2D | layers.Conv3D | layers.DepthwiseConv1D | layers.DepthwiseConv2D


def _bias_of(model: "keras.Model", layer: Any) -> tuple[Any, int] | None:
    """The variable that shifts a convolution's channels, and the sign by which it is to change; None where there is none."""
    import keras

    if layer.use_bias:
        return layer.bias, -1
    output = all_uses(layer)[0].output_tensors[0]
    after = [each for each in model.layers for use in all_uses(each) if any(tensor is output for tensor in use.input_tensors)]
    if len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization) and len(all_uses(after[0])) == 1:
        return after[0].moving_mean, 1
    return None


def _sum_of_errors(layer: Any, inputs: Any) -> Array:
    """What rounding its kernel adds to the outputs of a convolution: the mean over positions, the sum over examples, `(channels,)`."""
    import keras

    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    kernel = np.asarray(layer.kernel)
    axes = tuple(range(kernel.ndim - (2 if depthwise else 1)))  # a depthwise kernel ends in (channels, depth_multiplier)
    error = rounded(kernel, axes) - kernel
    options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate, "data_format": layer.data_format}
    if layer.padding == "causal":
        before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        inputs = keras.ops.pad(inputs, ((0, 0), (before, 0), (0, 0)))
        options["padding"] = "valid"
    outputs = (keras.ops.depthwise_conv if depthwise else keras.ops.conv)(inputs, error, **options)
    positions = tuple(range(1, len(outputs.shape) - 1)) if layer.data_format == "channels_last" else tuple(range(2, len(outputs.shape)))
    errors: Array = np.asarray(keras.ops.mean(outputs, axis=positions)).sum(axis=0)
    return errors
