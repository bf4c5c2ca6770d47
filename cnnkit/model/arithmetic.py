"""The arithmetic of a layer: how its shape and parameters come about, what it sees, computes and keeps in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

MINUS, TIMES = "−", "·"  # as formulas are printed


@dataclass(frozen=True)
class ReceptiveField:
    """What one output value sees of the input, along each spatial axis.

    Araujo, Norris and Sim (2019), "Computing Receptive Fields of Convolutional Neural Networks": a window of k at
    dilation d over a map with field r and jump j sees r + (k − 1)·d·j, and a stride of s makes the jump j·s.

    Attributes:
        sizes: Input positions seen, by axis.
        jumps: Input positions between two neighbouring outputs, by axis.
    """

    sizes: tuple[int, ...]
    jumps: tuple[float, ...]

    @classmethod
    def of_input(cls, rank: int) -> Self:
        """The input sees itself."""
        return cls((1,) * max(rank, 0), (1.0,) * max(rank, 0))

    def after_window(self, window: Sequence[int], strides: Sequence[float], dilation: Sequence[int]) -> "ReceptiveField":
        """After a window that slides over this map."""
        pairs = zip(self.sizes, self.jumps, window, dilation, strict=True)
        sizes = tuple(math.ceil(size + (k - 1) * d * jump) for size, jump, k, d in pairs)
        return ReceptiveField(sizes, tuple(jump * stride for jump, stride in zip(self.jumps, strides, strict=True)))


def follow(layer: Any, incoming: Sequence[ReceptiveField | None]) -> ReceptiveField | None:
    """The receptive field after a layer: the largest over the paths that meet in it; None where it sees all of the input."""
    known = [field for field in incoming if field is not None]
    rank = len(_shape(layer.output)) - 2
    if len(known) < len(incoming) or rank <= 0 or any(len(field.sizes) != rank for field in known):
        return None  # flattened, pooled globally, or a nested network
    sizes = tuple(max(field.sizes[axis] for field in known) for axis in range(rank))
    jumps = tuple(max(field.jumps[axis] for field in known) for axis in range(rank))
    field = ReceptiveField(sizes, jumps)
    window = _window(layer)
    if window is None:
        return field if _is_pointwise(layer) else None
    if _is_transposed(layer):
        shrunk = tuple(1 / stride for stride in _strides(layer))
        seen = tuple(math.ceil(k / stride) for k, stride in zip(window, _strides(layer), strict=True))
        return field.after_window(seen, shrunk, (1,) * rank)
    return field.after_window(window, _strides(layer), _dilation(layer))


def shape_reason(layer: Any) -> str:
    """How the output shape follows from the incoming one, in numbers; empty where that is not one of the known forms."""
    incoming, outgoing = _shape(layer.input), _shape(layer.output)
    kind = type(layer).__name__
    if kind == "Flatten":
        return f"{TIMES.join(map(str, incoming[1:]))} = {outgoing[1]}"
    if kind.startswith("Global"):
        return f"one value for each of {outgoing[-1]} channels"
    if kind == "Dense":
        return f"one value for each of {outgoing[-1]} units"
    window = _window(layer)
    if window is None or _is_transposed(layer):
        return "as it came in" if incoming == outgoing else ""
    axes = zip(incoming[1:-1], outgoing[1:-1], window, _strides(layer), _dilation(layer), strict=True)
    return ", ".join(dict.fromkeys(_axis_reason(*axis, padding=layer.padding) for axis in axes if axis[0] is not None))


def _axis_reason(size: int, result: int, window: int, stride: int, dilation: int, padding: str) -> str:
    """One axis: floor((n − k) / s) + 1 without padding, ceil(n / s) with it."""
    if padding in ("same", "causal"):
        return f"⌈{size}/{stride}⌉ = {result}"
    reach = (window - 1) * dilation + 1
    taken = str(window) if dilation == 1 else f"(({window} {MINUS} 1){TIMES}{dilation} + 1)"
    quotient = f"({size} {MINUS} {taken})/{stride}"
    exact = (size - reach) % stride == 0
    return f"{quotient if exact else f'⌊{quotient}⌋'} + 1 = {result}"


def parameter_reason(layer: Any) -> str:
    """How the parameter count comes about, in numbers; empty for layers without weights or of unknown form."""
    kind = type(layer).__name__
    if not layer.built or layer.count_params() == 0:
        return ""
    channels = _shape(layer.input)[-1]
    total = layer.count_params()
    if kind == "BatchNormalization":
        parts = [word for word, used in (("gamma", layer.scale), ("beta", layer.center)) if used]
        return f"{len(parts) + 2}{TIMES}{channels} = {total} ({', '.join([*parts, 'mean, variance'])}; the last two are not trained)"
    if not hasattr(layer, "use_bias"):
        return ""
    bias = 1 if layer.use_bias else 0
    if kind == "Dense":
        return f"{_plus_bias(str(channels), bias)}{TIMES}{layer.units} = {total}"
    if kind.startswith("SeparableConv"):
        window = TIMES.join(map(str, layer.kernel_size))
        middle = channels * layer.depth_multiplier
        depthwise = f"{window}{TIMES}{channels}" + (f"{TIMES}{layer.depth_multiplier}" if layer.depth_multiplier != 1 else "")
        return f"{depthwise} + {_plus_bias(str(middle), bias)}{TIMES}{layer.filters} = {total}"
    if kind.startswith("DepthwiseConv"):
        window = TIMES.join(map(str, layer.kernel_size))
        many = f"{TIMES}{layer.depth_multiplier}" if layer.depth_multiplier != 1 else ""
        return f"{_plus_bias(window, bias)}{TIMES}{channels}{many} = {total}"
    if kind.startswith("Conv") and hasattr(layer, "kernel_size") and hasattr(layer, "filters") and "LSTM" not in kind:
        groups = getattr(layer, "groups", 1)
        window = TIMES.join([*map(str, layer.kernel_size), str(channels // groups)])
        return f"{_plus_bias(window, bias)}{TIMES}{layer.filters} = {total}"
    return ""


def _plus_bias(inputs: str, bias: int) -> str:
    return f"({inputs} + 1)" if bias else (f"({inputs})" if TIMES in inputs else inputs)


def multiply_adds(layer: Any) -> int:
    """Multiplications with an addition that the layer takes for one example: convolutions and dense layers; a nested model's sum."""
    if hasattr(layer, "layers"):
        return sum(multiply_adds(inner) for inner in layer.layers)
    kind = type(layer).__name__
    channels, outgoing = _shape(layer.input)[-1], _shape(layer.output)[1:]
    if any(size is None for size in outgoing):
        return 0
    places = math.prod(outgoing[:-1])
    if kind == "Dense":
        return places * channels * layer.units
    if not hasattr(layer, "kernel_size") or not hasattr(layer, "strides"):
        return 0
    window = math.prod(layer.kernel_size)
    if kind.startswith("SeparableConv"):
        middle = channels * layer.depth_multiplier
        return places * (window * middle + middle * layer.filters)
    if kind.startswith("DepthwiseConv"):
        return math.prod(outgoing) * window
    if _is_transposed(layer):
        return math.prod(_shape(layer.input)[1:-1]) * window * channels * layer.filters
    if kind.startswith("Conv") and "LSTM" not in kind:
        return math.prod(outgoing) * window * (channels // getattr(layer, "groups", 1))
    return 0


def activation_bytes(layer: Any) -> int:
    """Memory of the layer's output for one example, in bytes of its compute dtype."""
    sizes = [size for size in _shape(layer.output)[1:] if size is not None]
    return math.prod(sizes) * {"float16": 2, "bfloat16": 2, "float64": 8}.get(str(layer.compute_dtype), 4)


def _shape(tensor: Any) -> tuple[Any, ...]:
    return tuple((tensor[0] if isinstance(tensor, list | tuple) else tensor).shape)


def _window(layer: Any) -> tuple[int, ...] | None:
    """The sliding window of a convolution or pooling layer; None for other layers."""
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if window is None or not hasattr(layer, "strides") or "LSTM" in type(layer).__name__:
        return None
    rank = len(_shape(layer.output)) - 2
    return (window,) * rank if isinstance(window, int) else tuple(window)


def _strides(layer: Any) -> tuple[int, ...]:
    rank = len(_shape(layer.output)) - 2
    return (layer.strides,) * rank if isinstance(layer.strides, int) else tuple(layer.strides)


def _dilation(layer: Any) -> tuple[int, ...]:
    rank = len(_shape(layer.output)) - 2
    rate = getattr(layer, "dilation_rate", 1)
    return (rate,) * rank if isinstance(rate, int) else tuple(rate)


def _is_transposed(layer: Any) -> bool:
    return "Transpose" in type(layer).__name__


def _is_pointwise(layer: Any) -> bool:
    """Whether each place of the output depends on the same place of the input alone: the shape of the places is kept."""
    if hasattr(layer, "layers"):  # a nested network
        return False
    return _shape(layer.input)[1:-1] == _shape(layer.output)[1:-1]
