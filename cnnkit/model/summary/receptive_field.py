"""The receptive field: which places of the prepared input one output value of a layer depends on."""

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


class Places(NamedTuple):
    """Which places of a layer's input an interval of its output sees, along one axis.

    The places lo..hi of the output see (scale·lo + first) // divisor .. (scale·hi + last) // divisor of the input.
    """

    scale: int = 1
    divisor: int = 1
    first: int = 0
    last: int = 0

    def seen(self, low: int, high: int) -> tuple[int, int]:
        """The first and last input place seen from low..high; the last lies before the first where nothing is seen."""
        return (self.scale * low + self.first) // self.divisor, (self.scale * high + self.last) // self.divisor


@dataclass(frozen=True)
class _Step:
    """One use of a layer, with nested models unrolled.

    Attributes:
        places: Which places of its inputs it sees, by axis.
        sources: Positions in the list of steps of what it takes in; none for the prepared input.
    """

    places: tuple[Places, ...] | Literal["all"] | None
    sources: tuple[int, ...]


def receptive_fields(graph: Any, prepares: set[str]) -> dict[int, Field]:
    """The receptive field of each node of a functional graph, by the node's id.

    Args:
        graph: What `compat.graph_of` gives.
        prepares: Names of the layers that only prepare the input, whose output the field is counted in.

    Returns:
        Positions by axis, `"all"` or None, as in `Row.receptive_field`.
    """
    steps: list[_Step] = []
    position = _unroll(graph, prepares, steps, [])
    seen: list[Literal["all"] | bool] = []  # by step: all, known or not
    for step in steps:
        before = [step.places, *(seen[source] for source in step.sources)]
        seen.append(ALL if ALL in before else None not in before and False not in before)
    fields: dict[int, Field] = {}
    views: dict[int, list[_View | None]] = {}
    for node, index in position.items():
        places = steps[index].places
        if seen[index] is True and isinstance(places, tuple):
            axes = range(len(places))
            for axis in axes:
                if axis not in views:
                    views[axis] = _views(steps, axis)
            known = [views[axis][index] for axis in axes]
            fields[node] = tuple(view.extent if view is not None else _extent(steps, index, axis) for axis, view in enumerate(known))
        else:
            fields[node] = ALL if seen[index] == ALL else None
    return fields


def _unroll(graph: Any, prepares: set[str], steps: list[_Step], entrances: list[int]) -> dict[int, int]:
    """Append the steps of a graph to the list, and give the step at which each of its nodes comes out."""
    position: dict[int, int] = {}
    at_input = {id(source_of(tensor)): index for index, tensor in enumerate(graph.inputs)}

    def step_of(tensor: Any, inside: dict[int, int]) -> int:
        return inside[id(source_of(tensor))]

    for node in nodes_of(graph):
        identity = (Places(),) * max(0, len(node.output_tensors[0].shape) - 2)
        nested = graph_of(node.operation)
        sources = [step_of(tensor, position) for tensor in node.input_tensors]
        if id(node) in at_input:
            step = _Step(identity, tuple(entrances[at_input[id(node)] :][:1]))
        elif node.operation.name in prepares:
            step = _Step(identity, ())
        elif nested is not None:
            inside = _unroll(nested, set(), steps, sources)
            step = _Step(identity, tuple(step_of(tensor, inside) for tensor in nested.outputs))
        else:
            step = _Step(places_seen(node), tuple(sources))
        steps.append(step)
        position[id(node)] = len(steps) - 1
    return position


class _View(NamedTuple):
    """The input places scale·o + low .. scale·o + high that output place o of a step sees."""

    scale: int
    low: int
    high: int

    @property
    def extent(self) -> int:
        """How many places that are."""
        return self.high - self.low + 1


def _views(steps: list[_Step], axis: int) -> list[_View | None]:
    """What each step sees along an axis, in one pass; None behind an enlargement, where it differs from place to place."""
    views: list[_View | None] = []
    for step in steps:
        before = [views[source] for source in step.sources]
        known = [view for view in before if view is not None]
        if not isinstance(step.places, tuple) or axis >= len(step.places) or len(known) < len(before):
            views.append(None)
            continue
        scale, divisor, first, last = step.places[axis]
        if divisor != 1 or len({view.scale for view in known}) > 1:
            views.append(None)
        elif not known:
            views.append(_View(scale, first, last))
        else:
            through = known[0].scale
            low, high = min(view.low for view in known), max(view.high for view in known)
            views.append(_View(through * scale, through * first + low, through * last + high))
    return views


def _extent(steps: list[_Step], index: int, axis: int) -> int:
    """How many places of the input, from the first to the last, one output value of a step sees along an axis.

    The interval of places is followed backwards, its hull taken where paths meet: Araujo, Norris and Sim (2019),
    "Computing Receptive Fields of Convolutional Neural Networks". After an upsampling it differs from output place to
    output place, with a period; the largest counts. An interval that a transposed convolution leaves empty needs no
    care: the maps keep order, so that a neighbouring output place sees no less.
    """
    period, tried, largest = 1, 0, 0
    while tried < period:
        intervals: dict[int, tuple[int, int]] = {index: (tried, tried)}
        divisors = {index: (1, 1)}  # input places for each output place, as a fraction
        for current in range(index, -1, -1):
            if current not in intervals:
                continue
            step, (low, high), (scale, divisor) = steps[current], intervals.pop(current), divisors.pop(current)
            assert isinstance(step.places, tuple)
            common = math.gcd(scale, divisor)
            period = math.lcm(period, divisor // common)
            low, high = step.places[axis].seen(low, high)
            scale, divisor = scale // common * step.places[axis].scale, divisor // common * step.places[axis].divisor
            if not step.sources:
                largest = max(largest, high - low + 1)
            for source in step.sources:
                other = intervals.get(source, (low, high))
                intervals[source] = min(low, other[0]), max(high, other[1])
                divisors[source] = scale, divisor
        tried += 1
    return largest


def places_seen(node: Any) -> tuple[Places, ...] | Literal["all"] | None:
    """Which input places each output place of a layer depends on, by spatial axis, when it predicts.

    Args:
        node: One use of a layer in a Keras graph, channels last.

    Returns:
        `"all"` where each output value depends on all places; None where it is not known.
    """
    layer, kind = node.operation, kind_of(node.operation)
    incoming, outgoing = shapes(node.input_tensors), shapes(node.output_tensors)
    rank = len(outgoing[0]) - 2
    if MIXING.fullmatch(kind) or (kind == "Dense" and rank <= 0):
        return ALL
    if getattr(layer, "data_format", None) == "channels_first" or any(len(shape) != rank + 2 for shape in (*incoming, *outgoing)):
        return None
    if WINDOWED.fullmatch(kind):
        return tuple(_places_under(axis, layer.padding, kind.endswith("Transpose")) for axis in windows(layer, incoming[0], outgoing[0]))
    if kind.startswith(("ZeroPadding", "Cropping")):
        shifts = [-before if kind.startswith("Zero") else before for before, _ in margins(layer)]
        return tuple(Places(first=shift, last=shift) for shift in shifts)
    if kind.startswith("UpSampling"):
        return _places_enlarged(layer)
    if not _POINTWISE.fullmatch(kind) or any(shape[1:-1] != outgoing[0][1:-1] for shape in incoming):
        return None
    if kind in _ALONG_AXIS and layer.axis not in (-1, rank + 1, [-1], [rank + 1], (-1,), (rank + 1,)):
        return None
    return (Places(),) * rank


def _places_under(axis: Window, padding: str, transposed: bool) -> Places:
    """The places under a window, with TensorFlow's `same` padding: the smaller half in front."""
    reach, stride = axis.reach, axis.stride
    if padding == "causal":
        before = reach - 1
    elif padding == "valid":
        before = 0
    elif axis.size is None or axis.result is None:  # as for a size that the stride divides
        before = max(reach - stride, 0) // 2
    else:
        small, large = (axis.size, axis.result) if transposed else (axis.result, axis.size)
        before = max((small - 1) * stride + reach - large, 0) // 2
    if transposed:  # output o takes from each input i with o = i·stride + tap − before, 0 <= tap < reach
        return Places(1, stride, before - reach + stride, before)
    return Places(stride, 1, -before, reach - 1 - before)


def _places_enlarged(layer: Any) -> tuple[Places, ...] | None:
    rank = int(type(layer).__name__[-2])
    factors = by_axis(layer.size, rank)
    interpolation = getattr(layer, "interpolation", "nearest")
    if interpolation == "nearest":
        return tuple(Places(1, factor) for factor in factors)
    if interpolation == "bilinear":  # between the two input places next to (o + 1/2)/factor − 1/2
        return tuple(Places(2, 2 * factor, 1 - factor, factor) for factor in factors)
    return None
