"""Receptive fields: the positions of the preprocessed input on which one output value of a layer depends."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cnnkit.keras_api.compat import graph_of, nodes_of, source_of
from cnnkit.model.summary.arithmetic import MIXING, WINDOWED, Window, by_axis, kind_of, margins, shapes, windows

Field = tuple[int, ...] | Literal["all"] | None

ALL: Literal["all"] = "all"

_POINTWISE = re.compile(
    r"Dense|Identity|Activation|Softmax|ReLU|LeakyReLU|PReLU|ELU|Relu6?|Sigmoid|HardSigmoid|HardSwish|Silu|Gelu|"
    r"(Batch|Layer|Unit|RMS)?Normalization|Rescaling|LayerScale|CustomScaleLayer|Concatenate|"
    r"Multiply|Add|Subtract|Average|Maximum|Minimum|"
    r"(Spatial|Alpha|Gaussian)?Dropout([123]D)?|GaussianNoise|StochasticDepth|ActivityRegularization|Random(?!Crop)\w+"
)
_ALONG_AXIS = ("Softmax", "LayerNormalization", "UnitNormalization", "RMSNormalization", "Concatenate")


class Positions(NamedTuple):
    """Maps an interval of output positions to the input positions it depends on, along one axis.

    Outputs lo..hi depend on inputs (scale·lo + first) // divisor .. (scale·hi + last) // divisor.
    """

    scale: int = 1
    divisor: int = 1
    first: int = 0
    last: int = 0

    def seen(self, low: int, high: int) -> tuple[int, int]:
        """First and last input position for outputs low..high; last < first for an empty interval."""
        return (self.scale * low + self.first) // self.divisor, (self.scale * high + self.last) // self.divisor


@dataclass(frozen=True)
class _Step:
    """One call of a layer, with nested models unrolled.

    Attributes:
        positions: Which positions of its inputs it depends on, by axis.
        sources: Indices of its input steps in the list of steps; none for the preprocessed input.
    """

    positions: tuple[Positions, ...] | Literal["all"] | None
    sources: tuple[int, ...]


def receptive_fields(graph: Any, preprocessing: set[str]) -> dict[int, Field]:
    """The receptive field of each node of a functional graph, by the node's id.

    Args:
        graph: The return value of `compat.graph_of`.
        preprocessing: Names of the preprocessing layers; fields are counted in positions of their output.

    Returns:
        Positions by axis, `"all"` or None, as in `Row.receptive_field`.
    """
    steps: list[_Step] = []
    position = _unroll(graph, preprocessing, steps, [])
    seen: list[Literal["all"] | bool] = []  # by step: all, known or not
    for step in steps:
        before = [step.positions, *(seen[source] for source in step.sources)]
        seen.append(ALL if ALL in before else None not in before and False not in before)
    fields: dict[int, Field] = {}
    views: dict[int, list[_View | None]] = {}
    for node, index in position.items():
        positions = steps[index].positions
        if seen[index] is True and isinstance(positions, tuple):
            axes = range(len(positions))
            for axis in axes:
                if axis not in views:
                    views[axis] = _views(steps, axis)
            known = [views[axis][index] for axis in axes]
            fields[node] = tuple(view.extent if view is not None else _extent(steps, index, axis) for axis, view in enumerate(known))
        else:
            fields[node] = ALL if seen[index] == ALL else None
    return fields


def _unroll(graph: Any, preprocessing: set[str], steps: list[_Step], input_steps: list[int]) -> dict[int, int]:
    """Append the steps of a graph to the list; returns the step index of each node, by the node's id."""
    position: dict[int, int] = {}
    at_input = {id(source_of(tensor)): index for index, tensor in enumerate(graph.inputs)}

    def step_of(tensor: Any, inside: dict[int, int]) -> int:
        return inside[id(source_of(tensor))]

    for node in nodes_of(graph):
        identity = (Positions(),) * max(0, len(node.output_tensors[0].shape) - 2)
        nested = graph_of(node.operation)
        sources = [step_of(tensor, position) for tensor in node.input_tensors]
        if id(node) in at_input:
            step = _Step(identity, tuple(input_steps[at_input[id(node)] :][:1]))
        elif node.operation.name in preprocessing:
            step = _Step(identity, ())
        elif nested is not None:
            inside = _unroll(nested, set(), steps, sources)
            step = _Step(identity, tuple(step_of(tensor, inside) for tensor in nested.outputs))
        else:
            step = _Step(input_positions(node), tuple(sources))
        steps.append(step)
        position[id(node)] = len(steps) - 1
    return position


class _View(NamedTuple):
    """The input positions scale·o + low .. scale·o + high on which output position o of a step depends."""

    scale: int
    low: int
    high: int

    @property
    def extent(self) -> int:
        """Number of positions."""
        return self.high - self.low + 1


def _views(steps: list[_Step], axis: int) -> list[_View | None]:
    """The view of each step along an axis, in one pass; None after upsampling, where it varies with the output position."""
    views: list[_View | None] = []
    for step in steps:
        before = [views[source] for source in step.sources]
        known = [view for view in before if view is not None]
        if not isinstance(step.positions, tuple) or axis >= len(step.positions) or len(known) < len(before):
            views.append(None)
            continue
        scale, divisor, first, last = step.positions[axis]
        if divisor != 1 or len({view.scale for view in known}) > 1:
            views.append(None)
        elif not known:
            views.append(_View(scale, first, last))
        else:
            outer_scale = known[0].scale
            low, high = min(view.low for view in known), max(view.high for view in known)
            views.append(_View(outer_scale * scale, outer_scale * first + low, outer_scale * last + high))
    return views


def _extent(steps: list[_Step], index: int, axis: int) -> int:
    """Size of the receptive field of a step along an axis, from the first to the last input position.

    The interval of positions is propagated backwards, with the hull where paths merge: Araujo, Norris and Sim (2019),
    "Computing Receptive Fields of Convolutional Neural Networks". After upsampling it varies periodically with the
    output position; the maximum is returned. Empty intervals of transposed convolutions need no special case: the maps are
    monotonic, so the interval of a neighboring output position is at least as large.
    """
    period, offset, largest = 1, 0, 0
    while offset < period:
        intervals: dict[int, tuple[int, int]] = {index: (offset, offset)}
        divisors = {index: (1, 1)}  # input positions for each output position, as a fraction
        for current in range(index, -1, -1):
            if current not in intervals:
                continue
            step, (low, high), (scale, divisor) = steps[current], intervals.pop(current), divisors.pop(current)
            assert isinstance(step.positions, tuple)
            common = math.gcd(scale, divisor)
            period = math.lcm(period, divisor // common)
            low, high = step.positions[axis].seen(low, high)
            scale, divisor = scale // common * step.positions[axis].scale, divisor // common * step.positions[axis].divisor
            if not step.sources:
                largest = max(largest, high - low + 1)
            for source in step.sources:
                other = intervals.get(source, (low, high))
                intervals[source] = min(low, other[0]), max(high, other[1])
                divisors[source] = scale, divisor
        offset += 1
    return largest


def input_positions(node: Any) -> tuple[Positions, ...] | Literal["all"] | None:
    """Which input positions each output position of a layer depends on in inference mode, by spatial axis.

    Args:
        node: One call of a layer in a Keras graph, channels last.

    Returns:
        `"all"` where each output value depends on all positions; None where it is not known.
    """
    layer, kind = node.operation, kind_of(node.operation)
    incoming, outgoing = shapes(node.input_tensors), shapes(node.output_tensors)
    rank = len(outgoing[0]) - 2
    if MIXING.fullmatch(kind) or (kind == "Dense" and rank <= 0):
        return ALL
    if getattr(layer, "data_format", None) == "channels_first" or any(len(shape) != rank + 2 for shape in (*incoming, *outgoing)):
        return None
    if WINDOWED.fullmatch(kind):
        return tuple(
            _window_positions(axis, layer.padding, kind.endswith("Transpose")) for axis in windows(layer, incoming[0], outgoing[0])
        )
    if kind.startswith(("ZeroPadding", "Cropping")):
        shifts = [-before if kind.startswith("Zero") else before for before, _ in margins(layer)]
        return tuple(Positions(first=shift, last=shift) for shift in shifts)
    if kind.startswith("UpSampling"):
        return _upsampled_positions(layer)
    if not _POINTWISE.fullmatch(kind) or any(shape[1:-1] != outgoing[0][1:-1] for shape in incoming):
        return None
    if kind in _ALONG_AXIS and layer.axis not in (-1, rank + 1, [-1], [rank + 1], (-1,), (rank + 1,)):
        return None
    return (Positions(),) * rank


def _window_positions(axis: Window, padding: str, transposed: bool) -> Positions:
    """The positions under a window; with `same` padding, the smaller half of the padding is in front, as in TensorFlow."""
    effective_width, stride = axis.effective_width, axis.stride
    if padding == "causal":
        before = effective_width - 1
    elif padding == "valid":
        before = 0
    elif axis.size is None or axis.result is None:  # as for a size that the stride divides
        before = max(effective_width - stride, 0) // 2
    else:
        small, large = (axis.size, axis.result) if transposed else (axis.result, axis.size)
        before = max((small - 1) * stride + effective_width - large, 0) // 2
    if transposed:  # output o takes from each input i with o = i·stride + tap − before, 0 <= tap < effective_width
        return Positions(1, stride, before - effective_width + stride, before)
    return Positions(stride, 1, -before, effective_width - 1 - before)


def _upsampled_positions(layer: Any) -> tuple[Positions, ...] | None:
    rank = int(type(layer).__name__[-2])
    factors = by_axis(layer.size, rank)
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation == "nearest":
        return tuple(Positions(1, factor) for factor in factors)
    if interpolation == "bilinear":  # between the two input positions next to (o + 1/2)/factor − 1/2
        return tuple(Positions(2, 2 * factor, 1 - factor, factor) for factor in factors)
    return None
