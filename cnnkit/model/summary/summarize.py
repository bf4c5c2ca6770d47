"""Summarize a network layer by layer: shapes and parameters as Keras counts them, with their formulas."""

import inspect
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.errors import CnnkitError
from cnnkit.keras_api.compat import all_uses, graph_of, nodes_of, source_of
from cnnkit.model.summary.arithmetic import Shape, multiply_adds, parameter_reason, shape_reason, shapes
from cnnkit.model.summary.receptive_field import ALL, Field, receptive_fields

if TYPE_CHECKING:
    import keras

_PREPROCESSING = ("Rescaling", "Normalization", "Resizing", "CenterCrop")
_BEFORE_PREPROCESSING = (*_PREPROCESSING, "InputLayer", "Flip", "Concatenate")  # a base may need BGR, or grey images as RGB


@dataclass(frozen=True)
class Row:
    """One layer, or one operation such as `keras.ops.flip`.

    Attributes:
        name: Its name in the model.
        type: Its Keras class.
        output_shape: With None for the batch; a tuple of shapes where it has several outputs.
        parameters: Number of parameters as Keras counts them.
        trainable_parameters: Number of trainable parameters.
        trainable: Keras's `trainable` flag.
        connected_to: Its input layers, where that is not only the row above.
        shape_reason: Formula of the output shape; empty where unknown.
        parameter_reason: Formula of the parameter count; empty without parameters.
        receptive_field: Positions of the preprocessed input, from first to last and by axis, on which one output value
            depends in a sufficiently large input; `"all"` for all positions; None where unknown.
        multiply_adds: Multiply-adds for one example; None where unknown.
        activation_bytes: Bytes of the output in its dtype, for one example; for a nested model the sum over its
            layers; None where a size is variable.
    """

    name: str
    type: str
    output_shape: Shape | tuple[Shape, ...]
    parameters: int
    trainable_parameters: int
    trainable: bool
    connected_to: tuple[str, ...]
    shape_reason: str
    parameter_reason: str
    receptive_field: Field
    multiply_adds: int | None
    activation_bytes: int | None


@dataclass(frozen=True)
class Summary:
    """A whole network.

    Attributes:
        name: The model's name.
        input_shape: Shape of the raw input, with None for the batch; a tuple of shapes where there are several.
        preprocessing: The preprocessing layers inside the model, one text per layer.
        rows: The layers, without input and preprocessing.
        total_parameters: All parameters, preprocessing included.
        trainable_parameters: Number of trainable parameters.
        total_bytes: Bytes of all weights.
        trainable_bytes: Bytes of the trainable weights.
    """

    name: str
    input_shape: Shape | tuple[Shape, ...]
    preprocessing: tuple[str, ...]
    rows: tuple[Row, ...]
    total_parameters: int
    trainable_parameters: int
    total_bytes: int
    trainable_bytes: int

    @property
    def non_trainable_parameters(self) -> int:
        """Number of non-trainable parameters, such as BatchNormalization's moving statistics."""
        return self.total_parameters - self.trainable_parameters

    def as_dict(self) -> dict[str, Any]:
        """The summary ready for JSON."""
        return {**asdict(self), "non_trainable_parameters": self.non_trainable_parameters}


def summarize(model: "keras.Model", *, preprocess: Sequence[str] = ()) -> Summary:
    """Describe a built functional or sequential model.

    Args:
        model: A nested model in it, such as a pretrained base, is one row.
        preprocess: Names of the preprocessing layers; where empty, the leading Rescaling, Normalization,
            Resizing and CenterCrop layers.

    Raises:
        CnnkitError: The model has no graph of layers.
    """
    graph = graph_of(model)
    if graph is None:
        message = f"model '{model.name}' is a {type(model).__name__} without known shapes"
        raise CnnkitError(message, "Build it as a functional model, or give its Sequential an Input layer.")
    preprocessing_names = _with_all_before(graph, preprocess or _leading_preprocessing(graph))
    rows: list[Row] = []
    fields, uses = receptive_fields(graph, preprocessing_names), _uses(graph)
    for operation in graph.operations:
        if operation.name in preprocessing_names or type(operation).__name__ == "InputLayer":
            continue
        above = {rows[-1].name} if rows else {*preprocessing_names, *(source_of(tensor).operation.name for tensor in graph.inputs)}
        rows.append(_row(operation, uses[id(operation)], fields, above if rows or len(graph.inputs) == 1 else set()))
    return Summary(
        name=model.name,
        input_shape=_one_or_all(shapes(graph.inputs)),
        preprocessing=tuple(
            _describe_layer(o) for o in graph.operations if o.name in preprocessing_names and type(o).__name__ != "InputLayer"
        ),
        rows=tuple(rows),
        total_parameters=_count(model.weights),
        trainable_parameters=_count(model.trainable_weights),
        total_bytes=bytes_of((weight.shape, weight.dtype) for weight in model.weights) or 0,
        trainable_bytes=bytes_of((weight.shape, weight.dtype) for weight in model.trainable_weights) or 0,
    )


def _row(operation: Any, uses: list[Any], fields: dict[int, Field], above: set[str]) -> Row:
    sources = tuple(dict.fromkeys(source for node in uses for source in _source_names(node)))
    reasons = dict.fromkeys(shape_reason(node) for node in uses)
    seen = [fields[id(node)] for node in uses]
    return Row(
        name=operation.name,
        type=type(operation).__name__,
        output_shape=_one_or_all(list(dict.fromkeys(shape for node in uses for shape in shapes(node.output_tensors)))),
        parameters=operation.count_params() if getattr(operation, "built", False) else 0,
        trainable_parameters=_count(getattr(operation, "trainable_weights", ())),
        trainable=bool(getattr(operation, "trainable", True)),
        connected_to=() if set(sources) <= above else sources,
        shape_reason="; ".join(reasons) if all(reasons) else "",
        parameter_reason=parameter_reason(operation),
        receptive_field=ALL if ALL in seen else None if None in seen else _largest(seen),
        multiply_adds=_sum(_multiply_adds(node) for node in uses),
        activation_bytes=_sum(_activation_bytes(node) for node in uses),
    )


def _uses(graph: Any) -> dict[int, list[Any]]:
    """The calls of each layer in this graph, by the layer's id; calls in other graphs are left out."""
    uses: dict[int, list[Any]] = {}
    here = {id(node) for node in nodes_of(graph)}
    for operation in graph.operations:
        uses[id(operation)] = [node for node in all_uses(operation) if id(node) in here]
    return uses


def _source_names(node: Any) -> list[str]:
    return [source_of(tensor).operation.name for tensor in node.input_tensors]


def _leading_preprocessing(graph: Any) -> list[str]:
    """The preprocessing layers that have only preprocessing layers before them."""
    leading: set[str] = set()
    found: list[str] = []
    for node in nodes_of(graph):
        kind = type(node.operation).__name__
        if kind in _BEFORE_PREPROCESSING and leading.issuperset(_source_names(node)):
            leading.add(node.operation.name)
            if kind in _PREPROCESSING:
                found.append(node.operation.name)
    return found


def _with_all_before(graph: Any, names: Iterable[str]) -> set[str]:
    """The named layers and all their ancestors."""
    wanted = set(names)
    for node in reversed(nodes_of(graph)):
        if node.operation.name in wanted:
            wanted.update(_source_names(node))
    return wanted


def _largest(fields: Sequence[Field]) -> tuple[int, ...]:
    return tuple(max(sizes) for sizes in zip(*(field for field in fields if isinstance(field, tuple)), strict=False))


def _multiply_adds(node: Any) -> int | None:
    return _over_layers(node, multiply_adds)


def _activation_bytes(node: Any) -> int | None:
    return _over_layers(node, lambda inner: bytes_of((tensor.shape[1:], tensor.dtype) for tensor in inner.output_tensors))


def _over_layers(node: Any, measure: Callable[[Any], int | None]) -> int | None:
    """A measure of a node; for a nested model the sum over its layers."""
    nested = graph_of(node.operation)
    if nested is None:
        return measure(node)
    return _sum(_over_layers(inner, measure) for inner in nodes_of(nested) if not inner.is_input)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is None."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _one_or_all(several: list[Shape]) -> Shape | tuple[Shape, ...]:
    return several[0] if len(several) == 1 else tuple(several)


def _describe_layer(operation: Any) -> str:
    """A preprocessing layer with the arguments that differ from Keras's defaults: `Rescaling(scale=0.00392157)`."""
    import keras

    arguments = []
    if isinstance(operation, keras.layers.Layer):
        parameters = inspect.signature(type(operation).__init__).parameters
        for name, value in operation.get_config().items():
            default = parameters[name].default if name in parameters else value
            if name not in ("name", "data_format") and value != default:
                arguments.append(f"{name}={_number(value)}")
    return f"{type(operation).__name__}({', '.join(arguments)})"


def _number(value: Any) -> str:
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":  # how Keras serializes an array
        value = value["config"]["value"]
    if isinstance(value, list | tuple):
        values = ", ".join(_number(entry) for entry in value[:4])
        return f"[{values}{', …' if len(value) > 4 else ''}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _count(variables: Sequence[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def bytes_of(arrays: Iterable[tuple[Shape, Any]]) -> int | None:
    """Bytes of arrays of these shapes and dtypes; None where a size is variable."""
    return _sum(None if None in shape else math.prod(size or 0 for size in shape) * _item_bytes(dtype) for shape, dtype in arrays)


def _item_bytes(dtype: Any) -> int:
    """Bytes of one number, from the bits in the dtype's name, such as float16; a boolean takes one."""
    bits = re.search(r"\d+", str(dtype))
    return max(1, int(bits[0]) // 8) if bits else 1
