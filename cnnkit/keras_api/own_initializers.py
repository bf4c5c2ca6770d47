"""Initializers that Keras does not have, written in a config like its own.

Each is a function that builds a Keras object, so that its arguments are known without TensorFlow. A built network names Keras's own
initializers only, so that plain Keras loads it without cnnkit.
"""

import functools
from typing import TYPE_CHECKING, Any

from cnnkit.errors import BuildError, Fault, Path
from cnnkit.keras_api.compat import flat_layers

if TYPE_CHECKING:
    import keras


def Dirac(  # noqa: N802 - its name in a config
    other_initializer: Any = "glorot_uniform",
) -> "keras.initializers.Initializer":
    """Filters that pass on one input channel each, as far as there are channels; the other filters are random.

    A convolution with `padding: same` begins as the identity, and so does a stack of them: `torch.nn.init.dirac_` on the first filters,
    as in airbench (Jordan 2024, arXiv:2404.00498, section 3.3). For kernels of Conv1D, Conv2D and Conv3D without `groups`, of Dense and
    of SimpleRNN; those of other layers are not laid out as (channels, filters).

    Args:
        other_initializer: Initializer of the filters beyond the input channels.

    Returns:
        An initializer of kernels `(*window, channels, filters)`: 1 at the window's middle `size // 2` of channel i in filter i, else 0.
    """
    return _dirac_class()(other_initializer)


def with_initializers_of_keras(layer: Any, path: Path) -> None:
    """Name, in a built layer and those inside it, an initializer of Keras in place of each of cnnkit's: its weights have been drawn.

    Args:
        layer: The layer.
        path: Path of its name in the config, for errors.

    Raises:
        BuildError: Dirac has drawn a kernel with which the layer does not begin as the identity.
    """
    for part in flat_layers(layer):
        for name, value in list(vars(part).items()):
            if isinstance(value, _dirac_class()):
                _require_filters_of_channels(part, name, path)
                setattr(part, name, value.other)


def _require_filters_of_channels(layer: Any, argument: str, path: Path) -> None:
    """Check that the last axes of the kernel that an argument initializes are the layer's input channels and its filters."""
    import keras

    layers, name, groups = keras.layers, type(layer).__name__, getattr(layer, "groups", 1)
    is_of_filters = isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Conv3D | layers.Dense | layers.SimpleRNNCell)
    if is_of_filters and groups == 1:
        return
    message = f"Dirac makes no identity of {name} " + (f"with groups={groups}" if is_of_filters else f"as its {argument}")
    raise BuildError(Fault(path, message, "It is for the kernels of Conv1D, Conv2D, Conv3D, Dense and SimpleRNN.", on_key=True))


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
            identity[(*(size // 2 for size in window), range(count), range(count))] = 1
            return keras.ops.where(np.arange(filters) < count, keras.ops.cast(identity, dtype), self.other(shape, dtype))

        def get_config(self) -> dict[str, Any]:
            return {"other_initializer": keras.initializers.serialize(self.other)}

    return DiracInitializer


OWN_INITIALIZERS = {"Dirac": Dirac}
