"""Flatten a network with nested models into one graph: the output of every layer, and the scores before the last activation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.errors import CnnkitError, did_you_mean
from cnnkit.keras_api.compat import run_graph

if TYPE_CHECKING:
    import keras

CONVOLUTION = re.compile(r"(Depthwise|Separable)?Conv[12]D(Transpose)?")  # class names of 1D and 2D convolutions


@dataclass(frozen=True)
class Step:
    """One call of a layer in the graph, with its symbolic output."""

    layer: "keras.layers.Layer"
    output: Any

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output without the batch."""
        return tuple(self.output.shape[1:])

    @property
    def is_convolution(self) -> bool:
        """Whether the layer is a 1D or 2D convolution."""
        return CONVOLUTION.fullmatch(type(self.layer).__name__) is not None


@dataclass(frozen=True)
class Unfolded:
    """A network with its nested models flattened; it shares all weights with the original.

    Attributes:
        input: The symbolic input `(batch, …)`.
        steps: Every layer in the order of computation, by name.
        scores: The symbolic output before a last softmax or sigmoid `(batch, outputs)`; without one, the output.
        output: The symbolic output `(batch, outputs)`.
    """

    input: Any
    steps: Mapping[str, Step]
    scores: Any
    output: Any

    @property
    def convolutions(self) -> list[Step]:
        """The convolutions in order.

        Raises:
            CnnkitError: There is none.
        """
        found = [step for step in self.steps.values() if step.is_convolution]
        if not found:
            raise CnnkitError("the network has no convolution to explain", "Explain a run whose layers have Conv1D or Conv2D.")
        return found

    def step(self, name: str) -> Step:
        """The named layer, whose output must be a feature map: spatial axes and channels.

        Raises:
            CnnkitError: There is no such layer, or its output has no spatial axes.
        """
        maps = [step.name for step in self.steps.values() if len(step.shape) == len(self.input.shape) - 1]
        if name not in self.steps:
            raise CnnkitError(f"the network has no layer {name!r}.{did_you_mean(name, maps)}", "See its layers: `cnnkit summary RUN`.")
        if name not in maps:
            shape = self.steps[name].shape
            raise CnnkitError(f"layer {name!r} gives {shape}, which has no spatial axes", f"Name a layer before it, such as {maps[-1]!r}.")
        return self.steps[name]

    def last_feature_maps(self) -> Step:
        """The last feature maps: the last layer after the last convolution with the same spatial size as its output.

        So normalization, addition and activation layers that follow the convolution are included.
        """
        steps = list(self.steps.values())
        spatial = [step for step in self.convolutions if len(step.shape) == len(self.input.shape) - 1]
        wide = [step for step in spatial if max(step.shape[:-1]) > 1]  # a 1x1 map has no spatial information
        if not spatial:
            raise CnnkitError("the network has no convolution over the spatial axes of its input", "Name another layer with --layer.")
        found = (wide or spatial)[-1]
        for step in steps[steps.index(found) :]:
            if step.shape[:-1] == found.shape[:-1] and len(step.shape) == len(found.shape):
                found = step
        return found


def unfold(model: "keras.Model") -> Unfolded:
    """Flatten a network and its nested models.

    Args:
        model: One input, one output; functional or sequential.

    Raises:
        CnnkitError: It has several inputs or outputs, or no layer between them.
    """
    import keras

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        message = f"the network has {len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise CnnkitError(message, "A network with one of each is wanted.")
    steps: dict[str, Step] = {}
    source = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
    last: list[tuple[Any, Any]] = []  # the last layer and its input

    def call(operation: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(operation, keras.Model):
            return run(operation, arguments[0])
        output = operation(*arguments, **options)
        if isinstance(operation, keras.layers.Layer):
            steps[operation.name] = Step(operation, output)
            last[:] = [(operation, arguments[0])]
        return output

    def run(network: Any, tensor: Any) -> Any:
        if isinstance(network, keras.Sequential):
            for layer in network.layers:
                tensor = call(layer, tensor)
            return tensor
        return run_graph(network, tensor, call)

    output = run(model, source)
    if not last:
        raise CnnkitError("the network has no layer between input and output", "Name a run that has layers.")
    layer, before = last[0]
    return Unfolded(source, steps, _scores(layer, before, output), output)


def _scores(layer: Any, before: Any, output: Any) -> Any:
    """The output before a softmax or sigmoid, whose gradient vanishes where the network is confident."""
    import keras

    squashing = (keras.activations.softmax, keras.activations.sigmoid)
    if isinstance(layer, keras.layers.Softmax):
        return before
    if getattr(layer, "activation", None) not in squashing:
        return output
    if isinstance(layer, keras.layers.Activation):
        return before
    plain = type(layer).from_config({**layer.get_config(), "activation": None, "name": f"{layer.name}_scores"})
    scores = plain(before)
    plain.set_weights(layer.get_weights())
    return scores
