"""Build one `keras.Model` (raw pixels to predictions) from a config's layers and blocks; failures name their entry."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cnnkit.config.schema import BLOCKS, Branches, Model, Repeat, Residual, Whiten
from cnnkit.config.task import Task
from cnnkit.errors import BuildError, Fault, Path
from cnnkit.keras_api.building import build, first_sentence
from cnnkit.keras_api.checking import OUTPUTS, Entry, parse_entry
from cnnkit.keras_api.own_initializers import with_initializers_of_keras
from cnnkit.model.precision import FLOAT32, dtype_policy
from cnnkit.model.shape_faults import call_layer, format_shape
from cnnkit.model.whitening import LAYER as WHITEN
from cnnkit.model.whitening import Whitening

if TYPE_CHECKING:
    import keras


INPUT = "input"  # name of the model's input layer


@dataclass(frozen=True)
class Network:
    """A built network.

    Attributes:
        model: Maps raw inputs `(batch, *input_shape)` to outputs `(batch, outputs)`.
        preprocess: Names of the preprocessing layers, in order.
        notices: Notices for the user, such as substituted weights.
        base: The config entry that builds the same base with random weights; None without a base.
        entries: Name of a layer -> path of the config entry that it was built from.
        whitening: How its convolution `whiten` is fitted before training, and frozen; None where it has none.
    """

    model: "keras.Model"
    preprocess: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    base: Any = None
    entries: Mapping[str, Path] = field(default_factory=dict)
    whitening: Whitening | None = None


@dataclass
class LayerStack:
    """Applies layer entries in sequence, and records which layers reduce the spatial size, for error messages.

    Attributes:
        outputs: Value of the placeholder `outputs`.
        shrinking: Paths of the layers so far that at least halved height or width.
        flattening: Paths of the layers so far that removed the spatial axes.
        entries: Names of the model's input and the layers so far, each with the path of its config entry.
        whitening: How the block `whiten` is fitted; None where there is none so far.
    """

    outputs: int
    shrinking: list[Path] = field(default_factory=list)
    flattening: list[Path] = field(default_factory=list)
    entries: dict[str, Path] = field(default_factory=lambda: {INPUT: ()})
    whitening: Whitening | None = None

    def apply(self, entries: Sequence[Entry], tensor: Any, path: Path, last_dtype: str | None = None) -> Any:
        """Apply a list of entries, whose path is `path`, to a tensor.

        Args:
            entries: The entries.
            tensor: Symbolic input of the first one.
            path: Their path in the config.
            last_dtype: Dtype of the last layer where its entry has none; None for the dtype policy in force.
        """
        for index, entry in enumerate(entries):
            is_last = last_dtype is not None and index == len(entries) - 1
            tensor = self._apply_entry(entry, tensor, (*path, index), {"dtype": last_dtype} if is_last else {})
        return tensor

    def _apply_entry(self, entry: Entry, tensor: Any, path: Path, defaults: Mapping[str, Any]) -> Any:
        at = (*path, *entry.key)
        if entry.name in BLOCKS:
            apply_block = _BLOCK_BUILDERS[entry.name]
            return apply_block(self, BLOCKS[entry.name].model_validate(entry.arguments), tensor, at)
        arguments = {key: self.outputs if value == OUTPUTS else value for key, value in entry.arguments.items()}
        layer = build("layers", replace(entry, arguments=arguments), path, **defaults)
        output = self.call(layer, tensor, at, is_named="name" in arguments)
        if len(output.shape) < len(tensor.shape):
            self.flattening.append(path)
        elif any(before and after and before >= 2 * after for before, after in zip(tensor.shape[1:-1], output.shape[1:-1], strict=False)):
            self.shrinking.append(path)
        return output

    def call(self, layer: Any, tensor: Any, at: Path, *, is_named: bool = False) -> Any:
        """Call a layer on a tensor, and record its name.

        Args:
            layer: The layer.
            tensor: Its symbolic input.
            at: Path of its name in the config.
            is_named: Whether the config gives it a name.

        Raises:
            BuildError: Its name is taken, or it rejects the tensor.
        """
        if layer.name in self.entries:
            message, remedy = f"the model already has a layer called '{layer.name}'", "Give each layer a name of its own, or none."
            raise BuildError(Fault((*at, "name") if is_named else at, message, remedy, on_key=not is_named))
        self.entries[layer.name] = at
        output = call_layer(layer, tensor, at, self.shrinking, self.flattening)
        with_initializers_of_keras(layer)
        return output


def build_network(
    config: Model,
    input_shape: Sequence[int],
    task: Task,
    precision: str = FLOAT32,
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Network:
    """Build the network that a config's `model` section describes.

    Args:
        config: The section.
        input_shape: Shape of one raw example, `(height, width, channels)` or `(steps, channels)`.
        task: The prediction task.
        precision: Keras dtype policy of the layers and the base; preprocessing and the last layer compute in float32.
        scope: Context manager in which it is built, such as the scope of a `tf.distribute` strategy.

    Raises:
        BuildError: A layer rejects its input, or the output shape does not fit the task.
        CnnkitError: The weights of a base are unavailable.
    """
    import keras

    keras.utils.clear_session(free_memory=False)  # before the scope, which it would reset
    with scope():
        return _built(config, input_shape, task, precision)


def _built(config: Model, input_shape: Sequence[int], task: Task, precision: str) -> Network:
    """The network; for the arguments see `build_network`."""
    import keras

    inputs = keras.Input(tuple(input_shape), name=INPUT)
    stack = LayerStack(task.outputs)
    prepared = stack.apply(config.preprocess, inputs, ("model", "preprocess"))
    base = None
    if config.base is not None:
        from cnnkit.model.base import apply_base

        with dtype_policy(precision):
            base = apply_base(config, prepared)
            prepared = base.prepared
            head = config.head if config.head is not None else default_head(base.features.shape, task)
            output = stack.apply(head, base.features, ("model", "head"), last_dtype=FLOAT32)
        last: Path = ("model", "head", len(head) - 1) if config.head is not None else ("model", "base")
    else:
        layers = config.layers or []
        with dtype_policy(precision):
            output = stack.apply(layers, prepared, ("model", "layers"), last_dtype=FLOAT32)
        last = ("model", "layers", len(layers) - 1)
    _check_output(output, task, last)
    preprocess = tuple(layer.name for layer in keras.Model(inputs, prepared).layers[1:])
    model = _connected(inputs, output, last)
    if stack.whitening is not None:
        _check_whitening(model, preprocess, stack.entries)
    if base is None:
        return Network(model, preprocess, entries=stack.entries, whitening=stack.whitening)
    return Network(model, preprocess, base.notices, base.architecture, stack.entries)


def _connected(inputs: Any, output: Any, last: Path) -> "keras.Model":
    """The model between two tensors.

    Raises:
        BuildError: The model is deeper than Keras, which traverses it recursively, can connect; or two layers have one name.
    """
    import keras

    try:
        return keras.Model(inputs, output)
    except RecursionError as error:
        message = "the network has more layers one after another than Keras can connect, some 900"
        raise BuildError(Fault(last[:2], message, "Repeat blocks fewer times, or make them wider.", on_key=True)) from error
    except ValueError as error:  # a layer of the config is called as one that a block or the base brings
        raise BuildError(Fault(last[:2], first_sentence(error), "Give each layer a name of its own, or none.", on_key=True)) from error


def default_head(feature_shape: Sequence[int | None], task: Task) -> list[Entry]:
    """Pooling, dropout and the output layer: the default head over a pretrained base."""
    pooling = [parse_entry("GlobalAveragePooling2D")] if len(feature_shape) == 4 else []
    output = parse_entry({"Dense": {"units": OUTPUTS, "activation": task.activation}})
    return [*pooling, parse_entry({"Dropout": {"rate": 0.2}}), output]


def _check_output(output: Any, task: Task, last: Path) -> None:
    shape, outputs = tuple(output.shape[1:]), task.outputs
    if shape == (outputs,) or (shape == (1,) and outputs == 2 and task.is_classification):
        return
    pooling = {4: "GlobalAveragePooling2D", 3: "GlobalAveragePooling1D", 5: "GlobalAveragePooling3D"}.get(len(output.shape))
    remedy = f"Put Flatten or {pooling} before the last Dense layer." if pooling else f"End with `Dense: {{units: {outputs}}}`."
    raise BuildError(Fault(last, f"the network ends in {format_shape(shape)}, but the data wants ({outputs},)", remedy))


def _repeat(stack: LayerStack, block: Repeat, tensor: Any, path: Path) -> Any:
    for _ in range(block.times):
        tensor = stack.apply(block.layers, tensor, (*path, "layers"))
    return tensor


def _residual(stack: LayerStack, block: Residual, tensor: Any, path: Path) -> Any:
    """X + F(x), or projection(x) + F(x) where the shapes differ (He et al. 2015, equation 2)."""
    import keras

    residual = stack.apply(block.layers, tensor, (*path, "layers"))
    if block.shortcut is not None:
        shortcut = stack.apply(block.shortcut, tensor, (*path, "shortcut"))
    elif tuple(residual.shape) != tuple(tensor.shape):
        has_norm = any(entry.name == "BatchNormalization" for entry in block.layers)
        shortcut = _projection(tensor, residual, has_norm, path)
    else:
        shortcut = tensor
    if tuple(shortcut.shape) != tuple(residual.shape):
        message = f"the shortcut gives {format_shape(shortcut.shape[1:])}, the layers {format_shape(residual.shape[1:])}"
        raise BuildError(Fault(path, message, "They are added, so make them equal.", on_key=True))
    output = keras.layers.Add()([shortcut, residual])
    return keras.layers.Activation(block.activation.name)(output) if block.activation else output


def _projection(tensor: Any, wanted: Any, batch_norm: bool, path: Path) -> Any:
    """A 1x1 convolution (Dense for vectors) from the shape of `tensor` to that of `wanted`."""
    import keras

    rank = len(tensor.shape) - 2
    strides = [-(-size // goal) for size, goal in zip(tensor.shape[1:-1], wanted.shape[1:-1], strict=False) if size and goal]
    reached = [-(-size // stride) for size, stride in zip(tensor.shape[1:-1], strides, strict=False)]
    if len(wanted.shape) != len(tensor.shape) or reached != list(wanted.shape[1:-1]):
        message = f"no projection leads from {format_shape(tensor.shape[1:])} to {format_shape(wanted.shape[1:])}"
        raise BuildError(
            Fault(path, message, "Use `padding: same` inside the block, or write the `shortcut` layers yourself.", on_key=True)
        )
    channels = wanted.shape[-1]
    if rank == 0:
        return keras.layers.Dense(channels, use_bias=False)(tensor)
    convolution = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[rank]
    projected = convolution(channels, 1, strides=tuple(strides), use_bias=not batch_norm)(tensor)
    return keras.layers.BatchNormalization()(projected) if batch_norm else projected


def _branches(stack: LayerStack, block: Branches, tensor: Any, path: Path) -> Any:
    import keras

    branch_outputs = [stack.apply(layers, tensor, (*path, "paths", index)) for index, layers in enumerate(block.paths)]
    merge = getattr(keras.layers, block.merge.capitalize())()
    try:
        return merge(branch_outputs)
    except ValueError as error:
        shapes = ", ".join(format_shape(output.shape[1:]) for output in branch_outputs)
        wanted = "the same height and width" if block.merge == "concatenate" else "the same shape"
        message = f"the paths end in {shapes}, which do not {block.merge}"
        raise BuildError(Fault(path, message, f"All paths have to end in {wanted}; `padding: same` keeps it.", on_key=True)) from error


def _whiten(stack: LayerStack, block: Whiten, tensor: Any, path: Path) -> Any:
    """A convolution whose kernels are not trained; `Whitening.fit` sets them before training."""
    import keras

    if len(tensor.shape) != 4:
        message = f"whitens patches of images (height, width, channels), but the incoming is {format_shape(tensor.shape[1:])}"
        raise BuildError(Fault(path, message, "Put it at the beginning of a network for images.", on_key=True))
    filters = 2 * block.kernel_size**2 * tensor.shape[-1]
    layer = keras.layers.Conv2D(filters, block.kernel_size, name=WHITEN)
    output = stack.call(layer, tensor, path)
    layer.kernel.trainable = False
    stack.whitening = Whitening(block.epsilon, block.bias_epochs)
    return output


def _check_whitening(model: "keras.Model", preprocess: Sequence[str], entries: Mapping[str, Path]) -> None:
    """Check that what comes before `whiten` does not change in training.

    Raises:
        BuildError: A layer before it has weights.
    """
    import keras

    before = keras.Model(model.input, model.get_layer(WHITEN).input).layers
    trained = next((layer for layer in before if layer.trainable_weights or (layer.weights and layer.name not in preprocess)), None)
    if trained is not None:
        message = f"is fitted before training, but {trained.name} before it has weights, which training changes"
        raise BuildError(Fault(entries[WHITEN], message, "Make it the first layer with weights.", on_key=True))


_BLOCK_BUILDERS: dict[str, Callable[[LayerStack, Any, Any, Path], Any]] = {
    "repeat": _repeat,
    "residual": _residual,
    "branches": _branches,
    "whiten": _whiten,
}
