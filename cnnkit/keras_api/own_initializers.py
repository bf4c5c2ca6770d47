"""Initializers that Keras does not have, written in a config like its own.

Each is a function that builds a Keras object, so that its arguments are known without TensorFlow. A built network names Keras's own
initializers only, so that plain Keras loads it without cnnkit.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cnnkit.errors import Fault, Path, format_value
from cnnkit.keras_api.compat import flat_layers

if TYPE_CHECKING:
    import keras

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
_KERNELS = {  # argument -> layers that it gives a kernel `(*window, channels, filters)`
    "kernel_initializer": (*_CONVOLUTIONS, "Dense", "SimpleRNN"),
    "recurrent_initializer": ("SimpleRNN",),
    "pointwise_initializer": ("SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D"),
}


def Dirac(  # noqa: N802 - its name in a config
    other_initializer: Any = "glorot_uniform",
) -> "keras.initializers.Initializer":
    """Filters that pass on one input channel each, as far as there are channels; the other filters are random.

    A convolution with `padding: same` and strides of 1 begins as the identity, and so does a stack of them: of odd windows, it is
    `torch.nn.init.dirac_` on the first filters, as in airbench (Jordan 2024, arXiv:2404.00498, section 3.3). For the kernels that
    `check_initializers` accepts.

    Args:
        other_initializer: Initializer of the filters beyond the input channels.

    Returns:
        An initializer of kernels `(*window, channels, filters)`: 1 at the window's middle `(size - 1) // 2`, before which Keras pads,
        of channel i in filter i, else 0.
    """
    return _dirac_class()(other_initializer)


def check_initializers(layer: str, arguments: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """Faults of a layer's arguments that name Dirac for a weight of another shape, where it would not make identities.

    Args:
        layer: Name of the layer.
        arguments: Its arguments as written.
        path: Its path.
    """
    for argument, value in arguments.items():
        if value != "Dirac" and not (isinstance(value, Mapping) and list(value) == ["Dirac"]):
            continue
        groups = arguments.get("groups", 1)
        if layer not in _KERNELS.get(argument, ()):
            message = f"Dirac is for the kernels of Conv1D, Conv2D, Conv3D, Dense and SimpleRNN, not for the {argument} of {layer}"
            yield Fault((*path, argument), message, "Write another initializer, such as glorot_uniform.")
        elif groups != 1:
            message = f"Dirac passes on the input channels in order, which a convolution of {format_value(groups)} groups does not see"
            yield Fault((*path, argument), message, "Leave `groups` out, or write another initializer, such as glorot_uniform.")


def with_initializers_of_keras(layer: Any) -> None:
    """Name, in a built layer and those inside it, an initializer of Keras in place of each of cnnkit's: its weights have been drawn."""
    for part in flat_layers(layer):
        for name, value in list(vars(part).items()):
            if isinstance(value, _dirac_class()):
                setattr(part, name, value.other)


@functools.cache
def _dirac_class() -> type[Any]:
    import keras
    import numpy as np

    @keras.saving.register_keras_serializable("cnnkit")  # a wrapper such as Bidirectional copies its layer by way of its config
    class DiracInitializer(keras.initializers.Initializer):  # type: ignore[misc]
        """See `Dirac`."""

        def __init__(self, other_initializer: Any) -> None:
            self.other = keras.initializers.get(other_initializer)

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            if len(shape) < 2:
                raise ValueError(f"Dirac wants a kernel with channels and filters, got the shape {tuple(shape)}")
            *window, channels, filters = shape
            count = min(channels, filters)
            identity = np.zeros(shape, np.float32)
            identity[(*((size - 1) // 2 for size in window), range(count), range(count))] = 1
            return keras.ops.where(np.arange(filters) < count, keras.ops.cast(identity, dtype), self.other(shape, dtype))

        def get_config(self) -> dict[str, Any]:
            return {"other_initializer": keras.initializers.serialize(self.other)}

    return DiracInitializer


OWN_INITIALIZERS = {"Dirac": Dirac}
