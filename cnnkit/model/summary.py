"""What a network consists of, row by row: shapes and parameters as Keras counts them, and where they come from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.model.arithmetic import ReceptiveField, activation_bytes, follow, multiply_adds, parameter_reason, shape_reason

if TYPE_CHECKING:
    import keras

Shape = tuple[int | None, ...]

_PREPARING = ("Rescaling", "Normalization", "Resizing", "CenterCrop")


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: Its name in the model.
        type: Its Keras class.
        output_shape: With None for the batch.
        parameters: As Keras counts them.
        trainable: Whether its weights are trained.
        connected_to: The layers it takes its input from, where that is not just the row above.
        shape_reason: How the output shape comes about, in numbers; empty where that needs no words.
        parameter_reason: How the parameter count comes about, in numbers.
        receptive_field: Input pixels (steps) that one output value sees, by axis; None where it sees all or has no place.
        multiply_adds: Multiplications with addition, for one example.
        activation_bytes: Memory of the output, for one example.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    trainable: bool
    connected_to: tuple[str, ...]
    shape_reason: str
    parameter_reason: str
    receptive_field: tuple[int, ...] | None
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """A whole network.

    Attributes:
        name: The model's name.
        input_shape: Shape of the raw input, with None for the batch.
        preprocessing: What is done to the raw input inside the model, a line a layer.
        rows: The layers, without input and preprocessing.
        total_parameters: All parameters.
        trainable_parameters: Those that training changes.
        total_bytes: Memory of all weights.
        trainable_bytes: Memory of the trainable weights.
    """

    name: str
    input_shape: Shape
    preprocessing: tuple[str, ...]
    rows: tuple[Row, ...]
    total_parameters: int
    trainable_parameters: int
    total_bytes: int
    trainable_bytes: int

    @property
    def non_trainable_parameters(self) -> int:
        """Parameters that training leaves as they are, such as BatchNormalization's moving statistics."""
        return self.total_parameters - self.trainable_parameters

    def as_dict(self) -> dict[str, Any]:
        """The summary ready for JSON."""
        return {**asdict(self), "non_trainable_parameters": self.non_trainable_parameters}


def summarize(model: "keras.Model", *, preprocess: Sequence[str] | None = None) -> Summary:
    """Describe a built functional model.

    Args:
        model: Built; a nested model, such as a pretrained base, is one row.
        preprocess: Names of the layers that only prepare the input; None to take the leading layers of that sort.
    """
    prepares = _leading_preparation(model) if preprocess is None else tuple(preprocess)
    rows: list[Row] = []
    fields: dict[str, ReceptiveField | None] = {}
    previous = ""
    for layer in model.layers:
        sources = _sources(layer)
        rank = len(_output_shape(layer)) - 2
        incoming = [fields[source] for source in sources if source in fields]
        fields[layer.name] = follow(layer, incoming) if incoming else ReceptiveField.of_input(rank)
        if type(layer).__name__ != "InputLayer" and layer.name not in prepares:
            rows.append(_row(layer, fields[layer.name], () if sources in ((previous,), ()) else sources))
        previous = layer.name
    trainable = [variable for variable in model.trainable_weights]
    return Summary(
        name=model.name,
        input_shape=tuple(model.input_shape),
        preprocessing=tuple(_in_words(model.get_layer(name)) for name in prepares),
        rows=_without_first_link(rows),
        total_parameters=model.count_params(),
        trainable_parameters=_count(trainable),
        total_bytes=_bytes(model.weights),
        trainable_bytes=_bytes(trainable),
    )


def _row(layer: Any, field: ReceptiveField | None, connected_to: tuple[str, ...]) -> Row:
    shape = _output_shape(layer)
    parameters = layer.count_params() if layer.built else 0
    return Row(
        name=layer.name,
        type=type(layer).__name__,
        output_shape=shape,
        parameters=parameters,
        trainable=bool(layer.trainable_weights),
        connected_to=connected_to,
        shape_reason=shape_reason(layer),
        parameter_reason=parameter_reason(layer),
        receptive_field=field.sizes if field is not None and field.sizes else None,
        multiply_adds=multiply_adds(layer),
        activation_bytes=activation_bytes(layer),
    )


def _without_first_link(rows: list[Row]) -> tuple[Row, ...]:
    """The first row follows the preprocessing line, which is no row."""
    from dataclasses import replace

    return tuple(replace(row, connected_to=()) if index == 0 else row for index, row in enumerate(rows))


def _sources(layer: Any) -> tuple[str, ...]:
    """Names of the layers whose outputs a layer takes in."""
    if not layer._inbound_nodes:
        return ()
    node = layer._inbound_nodes[0]
    return tuple(dict.fromkeys(tensor._keras_history.operation.name for tensor in node.input_tensors))


def _output_shape(layer: Any) -> Shape:
    output = layer.output
    return tuple((output[0] if isinstance(output, list | tuple) else output).shape)


def _leading_preparation(model: "keras.Model") -> tuple[str, ...]:
    names: list[str] = []
    for layer in model.layers:
        if type(layer).__name__ in _PREPARING:
            names.append(layer.name)
        elif type(layer).__name__ != "InputLayer":
            break
    return tuple(names)


def _in_words(layer: Any) -> str:
    """A preprocessing layer with the arguments that differ from Keras's defaults: `Rescaling(scale=0.003922)`."""
    import inspect

    config = layer.get_config() if hasattr(layer, "get_config") else {}
    parameters = inspect.signature(type(layer).__init__).parameters
    told = []
    for name, value in config.items():
        parameter = parameters.get(name)
        if parameter is None or name in ("name", "data_format") or value == parameter.default:
            continue
        told.append(f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}")
    return f"{type(layer).__name__}({', '.join(told)})"


def _count(variables: Sequence[Any]) -> int:
    import math

    return sum(math.prod(variable.shape) for variable in variables)


def _bytes(variables: Sequence[Any]) -> int:
    import math

    return sum(math.prod(variable.shape) * _item_bytes(variable.dtype) for variable in variables)


def _item_bytes(dtype: str) -> int:
    """Bytes of one number, from the digits at the end of the dtype's name; a boolean takes one."""
    digits = "".join(character for character in str(dtype) if character.isdigit())
    return int(digits) // 8 if digits else 1
