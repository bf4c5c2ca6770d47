"""Formulas for one layer: output shape, parameters, multiply-adds."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

Shape = tuple[int | None, ...]

_CONVOLUTION = re.compile(r"(Depthwise|Separable)?Conv[123]D(Transpose)?")
WINDOWED = re.compile(rf"{_CONVOLUTION.pattern}|(Max|Average)Pooling[123]D")
MIXING = re.compile(
    r"Flatten|Global(Max|Average)Pooling[123]D|LSTM|GRU|SimpleRNN|Bidirectional|GroupNormalization|(MultiHead|GroupQuery|Additive)?Attention"
)
_WITHOUT_MULTIPLY_ADDS = re.compile(r"(Batch|Layer|Group|RMS)?Normalization|LayerScale|PReLU|Embedding")
_PRODUCTS = re.compile(r"Dot|.*Attention|Matmul|Einsum|Tensordot|Conv.*")


class Window(NamedTuple):
    """One spatial axis of a convolution or pooling layer; sizes are None where the input size is variable.

    Attributes:
        size: Input size.
        result: Output size.
        width: Kernel or pool size.
        stride: Stride.
        dilation: Dilation rate.
    """

    size: int | None
    result: int | None
    width: int
    stride: int
    dilation: int

    @property
    def effective_width(self) -> int:
        """Effective kernel size: (width − 1)·dilation + 1."""
        return (self.width - 1) * self.dilation + 1


def kind_of(operation: Any) -> str:
    """Class name of an object of Keras; empty for any other class."""
    return type(operation).__name__ if type(operation).__module__.startswith("keras.") else ""


def shape_reason(node: Any) -> str:
    """Formula of the output shape, such as `(32 − 3)/1 + 1 = 30`.

    Equal equations of several axes are written once; different ones are separated by semicolons.

    Args:
        node: One call of a layer in a Keras graph.

    Returns:
        Empty for unknown layers and where a size is variable.
    """
    layer, kind = node.operation, kind_of(node.operation)
    incoming, outgoing = shapes(node.input_tensors), shapes(node.output_tensors)
    if not incoming or len(outgoing) != 1:
        return ""
    into, out = incoming[0], outgoing[0]
    if kind == "Dense":
        return f"{layer.units} units" if len(out) == 2 else f"{layer.units} units at each position"
    if kind.startswith("Global") and MIXING.fullmatch(kind):
        return f"one value for each of {into[_channel_axis(layer)]} channels"
    if kind == "Flatten" and len(into) > 2:
        return _equation("·".join(map(str, into[1:])), _product(into[1:]), out[1])
    if kind == "Reshape" and _product(into[1:]) is not None:
        return f"the same {_product(into[1:])} values"
    if kind == "Concatenate":
        sizes = [shape[layer.axis] for shape in incoming]
        return _equation(" + ".join(map(str, sizes)), None if None in sizes else sum(size or 0 for size in sizes), out[layer.axis])
    reasons = _axis_reasons(layer, kind, into, out)
    if reasons is not None:
        return "; ".join(dict.fromkeys(reasons)) if all(reasons) else ""
    if all(shape == out for shape in incoming):
        return "same as the input" if len(incoming) == 1 else "same as the inputs"
    return ""


def parameter_reason(layer: Any) -> str:
    """Formula of the parameter count, such as `(3·3·3 + 1)·32 = 896`.

    For layers without a formula of their own, the sum of the sizes of their weights.

    Args:
        layer: A built layer.

    Returns:
        Empty for layers without weights and for nested models.
    """
    total = layer.count_params() if getattr(layer, "built", False) and layer.weights else 0
    if not total or hasattr(layer, "layers"):
        return ""
    if kind_of(layer) == "BatchNormalization":
        return _batch_normalization_reason(layer, total)
    formula = _equation(*_weights_formula(layer), total)
    sizes = ["·".join(map(str, weight.shape)) or "1" for weight in layer.weights]
    return formula or _equation(" + ".join(sizes), sum(math.prod(weight.shape) for weight in layer.weights), total)


def multiply_adds(node: Any) -> int | None:
    """Multiply-adds of a convolution or dense layer for one example; other layers without products count 0.

    Biases, activations, normalization and pooling are not counted; padded positions are, as is usual.

    Args:
        node: One call of a layer in a Keras graph.

    Returns:
        None where unknown: unknown layers, variable input size.
    """
    layer, kind = node.operation, kind_of(node.operation)
    if kind == "Dense" or _CONVOLUTION.fullmatch(kind):
        into, out = shapes(node.input_tensors)[0], shapes(node.output_tensors)[0]
        channels = int(into[_channel_axis(layer)] or 0)
        if kind == "Dense":
            return _times(_product(out[1:]), channels)
        window = math.prod(layer.kernel_size)
        positions = _product([out[axis] for axis in _spatial_axes(layer, len(out))])
        if kind.startswith("Depthwise"):
            return _times(positions, channels * layer.depth_multiplier * window)
        if kind.startswith("Separable"):
            between = channels * layer.depth_multiplier
            return _times(positions, between * (window + layer.filters))
        if kind.endswith("Transpose"):
            positions = _product([into[axis] for axis in _spatial_axes(layer, len(into))])
        return _times(positions, window * (channels // getattr(layer, "groups", 1)) * layer.filters)
    has_weights = bool(getattr(layer, "weights", ()))
    counted = bool(_WITHOUT_MULTIPLY_ADDS.fullmatch(kind)) if has_weights else bool(kind and not _PRODUCTS.fullmatch(kind))
    return 0 if counted else None


def shapes(tensors: Sequence[Any]) -> list[Shape]:
    """Shapes of symbolic tensors, with None for the batch."""
    return [tuple(tensor.shape) for tensor in tensors]


def _axis_reasons(layer: Any, kind: str, into: Shape, out: Shape) -> list[str] | None:
    """An equation for each spatial axis of known size; None for layers without spatial formulas."""
    if WINDOWED.fullmatch(kind):
        reason = _transposed_reason if kind.endswith("Transpose") else _window_reason
        return [reason(layer, index, axis) for index, axis in enumerate(windows(layer, into, out)) if axis.size is not None]
    axes = [(into[axis], out[axis]) for axis in _spatial_axes(layer, len(out))] if len(into) == len(out) else []
    if any(size is None for size, _ in axes):
        axes = []
    if kind.startswith("ZeroPadding"):
        around = zip(axes, margins(layer), strict=False)
        return [_equation(f"{before} + {n} + {after}", before + int(n or 0) + after, m) for (n, m), (before, after) in around]
    if kind.startswith("Cropping"):
        around = zip(axes, margins(layer), strict=False)
        return [_equation(f"{n} − {before} − {after}", int(n or 0) - before - after, m) for (n, m), (before, after) in around]
    if kind.startswith("UpSampling"):
        factors = zip(axes, by_axis(layer.size, len(out) - 2), strict=False)
        return [_equation(f"{n}·{factor}", int(n or 0) * factor, m) for (n, m), factor in factors]
    return None


def _window_reason(layer: Any, index: int, axis: Window) -> str:
    """floor((n − k) / s) + 1 without padding, ceil(n / s) with it."""
    assert axis.size is not None
    if layer.padding in ("same", "causal"):
        quotient = f"{axis.size}/{axis.stride}"
        return _equation(quotient if axis.size % axis.stride == 0 else f"⌈{quotient}⌉", -(-axis.size // axis.stride), axis.result)
    quotient = f"({axis.size} − {_effective_width_formula(axis)})/{axis.stride}"
    exact = (axis.size - axis.effective_width) % axis.stride == 0
    return _equation(f"{quotient if exact else f'⌊{quotient}⌋'} + 1", (axis.size - axis.effective_width) // axis.stride + 1, axis.result)


def _transposed_reason(layer: Any, index: int, axis: Window) -> str:
    """(n − 1)·s + max(k, s) for a transposed convolution without padding, n·s with it."""
    assert axis.size is not None
    extra = None if layer.output_padding is None else by_axis(layer.output_padding, index + 1)[index]
    if extra is None and layer.padding == "same":
        return _equation(f"{axis.size}·{axis.stride}", axis.size * axis.stride, axis.result)
    spread = f"({axis.size} − 1)·{axis.stride}"
    if extra is None:
        last, term = (
            max(axis.effective_width, axis.stride),
            _effective_width_formula(axis) if axis.effective_width >= axis.stride else str(axis.stride),
        )
    elif layer.padding == "same":  # Keras adds one position for an odd window, none for an even one
        last, term = axis.effective_width % 2 + extra, f"{axis.effective_width % 2} + {extra}"
    else:
        last, term = axis.effective_width + extra, f"{_effective_width_formula(axis)} + {extra}"
    return _equation(f"{spread} + {term}", (axis.size - 1) * axis.stride + last, axis.result)


def _effective_width_formula(axis: Window) -> str:
    return str(axis.width) if axis.dilation == 1 or axis.width == 1 else f"(({axis.width} − 1)·{axis.dilation} + 1)"


def _weights_formula(layer: Any) -> tuple[str, int | None]:
    """The formula of a layer's parameter count and its value; empty and None where there is none."""
    kind = kind_of(layer)
    if not (kind == "Dense" or _CONVOLUTION.fullmatch(kind)):
        return "", None
    bias = int(layer.use_bias)
    if kind == "Dense":
        channels = layer.kernel.shape[0]
        return f"{_with_bias(str(channels), bias)}·{layer.units}", (channels + bias) * layer.units
    window, size = "·".join(map(str, layer.kernel_size)), math.prod(layer.kernel_size)
    channels = layer.input_spec.axes[_channel_axis(layer)]
    if kind.startswith("Depthwise"):
        outputs = channels * layer.depth_multiplier
        term = str(channels) if layer.depth_multiplier == 1 else f"{channels}·{layer.depth_multiplier}"
        return f"{_with_bias(window, bias)}·{term}", (size + bias) * outputs
    if kind.startswith("Separable"):
        between = channels * layer.depth_multiplier
        term = str(channels) if layer.depth_multiplier == 1 else f"{channels}·{layer.depth_multiplier}"
        return f"{window}·{term} + {_with_bias(term, bias)}·{layer.filters}", size * between + (between + bias) * layer.filters
    groups = getattr(layer, "groups", 1)
    term = f"{window}·{channels}" if groups == 1 else f"{window}·{channels}/{groups}"
    return f"{_with_bias(term, bias)}·{layer.filters}", (size * channels // groups + bias) * layer.filters


def _with_bias(inputs: str, bias: int) -> str:
    return f"({inputs} + 1)" if bias else inputs


def _batch_normalization_reason(layer: Any, total: int) -> str:
    trained = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
    channels = layer.moving_mean.shape[0]
    formula = _equation(f"{len(layer.weights)}·{channels}", len(layer.weights) * channels, total)
    if not trained:
        return f"{formula}; none trained"
    return f"{formula}; {trained} trained; {total - trained} statistics"


def windows(layer: Any, into: Shape, out: Shape) -> list[Window]:
    """The window of a convolution or pooling layer along each spatial axis."""
    rank = len(out) - 2
    widths = by_axis(layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size, rank)
    strides, dilations = by_axis(layer.strides, rank), by_axis(getattr(layer, "dilation_rate", 1), rank)
    axes = _spatial_axes(layer, len(out))
    return [Window(into[axis], out[axis], *numbers) for axis, *numbers in zip(axes, widths, strides, dilations, strict=True)]


def margins(layer: Any) -> list[tuple[int, int]]:
    """(before, after) that a ZeroPadding or Cropping layer adds or removes, by spatial axis."""
    sizes = layer.padding if hasattr(layer, "padding") else layer.cropping
    return [sizes] if isinstance(sizes[0], int) else list(sizes)


def by_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """An argument such as `strides` as one number for each of `rank` axes."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _channel_axis(layer: Any) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _spatial_axes(layer: Any, dimensions: int) -> range:
    return range(2, dimensions) if _channel_axis(layer) == 1 else range(1, dimensions - 1)


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _times(count: int | None, factor: int) -> int | None:
    return None if count is None else count * factor


def _equation(formula: str, value: int | None, actual: int | None) -> str:
    """`formula = actual`; empty where the formula's value is not that of Keras: better no formula than a wrong one."""
    return f"{formula} = {actual}" if value is not None and value == actual else ""
