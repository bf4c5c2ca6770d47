"""A frozen pretrained base from keras.applications or an own run: weights, and the base's preprocessing inside the model."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnkit.config.schema import Model, OwnBase
from cnnkit.errors import BuildError, CnnkitError, Fault, did_you_mean, format_value
from cnnkit.keras_api.building import build
from cnnkit.keras_api.checking import Entry, parse_entry
from cnnkit.keras_api.compat import fresh_names, preferred_size, preprocess_input_of, smallest_size
from cnnkit.keras_api.downloads import DownloadError, keras_home, through_keras
from cnnkit.model.loading.load import load_model
from cnnkit.model.loading.weights_file import load_weights
from cnnkit.model.model_file import model_in
from cnnkit.model.precision import FLOAT32
from cnnkit.model.shape_faults import format_shape

if TYPE_CHECKING:
    import keras

PACKAGED_ALPHA = 0.35
PACKAGED_WEIGHTS = Path(__file__).parent.parent / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"

_BASE_PATH = ("model", "base")


@dataclass(frozen=True)
class AppliedBase:
    """A base in a network.

    Attributes:
        features: Symbolic output of the base.
        prepared: Symbolic input of the base, after preprocessing.
        architecture: The config entry that builds the same base with random weights, for a resumed run.
        notices: Notices for the user, such as substituted weights.
    """

    features: Any
    prepared: Any
    architecture: Any
    notices: tuple[str, ...] = ()


def apply_base(config: Model, inputs: Any) -> AppliedBase:
    """Apply a frozen base to raw pixels, after its preprocessing.

    Args:
        config: The `model` section, with a base.
        inputs: Symbolic images `(batch, height, width, 1 or 3)` in 0..255.

    Raises:
        BuildError: The base rejects the image shape.
        CnnkitError: The base's weights are unavailable.
    """
    import keras

    entry = config.base
    if not isinstance(entry, Entry):
        return apply_own_base(OwnBase.model_validate(entry), inputs)
    shape = tuple(inputs.shape[1:])
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise BuildError(Fault(_BASE_PATH, f"a base wants images (height, width, 1 or 3), but the incoming shape is {format_shape(shape)}"))
    tensor = keras.layers.Concatenate(name="grey_to_rgb", dtype=FLOAT32)([inputs] * 3) if shape[-1] == 1 else inputs
    side = preferred_size(entry.name) if config.image_size == "auto" else config.image_size
    if side and shape[:2] != (side, side):
        tensor = keras.layers.Resizing(side, side, name="resize", dtype=FLOAT32)(tensor)
    base, notices = load_base(entry, tuple(tensor.shape[1:]))
    prepared = apply_preprocessing(entry.name, tensor)
    # `training=False` counts where the caller of the model states no mode: the base would follow Resizing, whose own default is training
    base.trainable = False  # also puts BatchNormalization into inference mode inside fit
    substituted = {"alpha": PACKAGED_ALPHA} if notices else {}  # the packaged weights cause the only notice
    return AppliedBase(
        base(prepared, training=False), prepared, {entry.name: {**entry.arguments, **substituted, "weights": "none"}}, notices
    )


@fresh_names()
def apply_own_base(config: OwnBase, inputs: Any) -> AppliedBase:
    """Apply a frozen network that cnnkit trained, without its head, to raw inputs.

    Args:
        config: The run, and the last layer that is used.
        inputs: Symbolic raw inputs `(batch, …)`; grey is repeated to RGB and images are resized where the network requires that.

    Raises:
        BuildError: There is no such run or layer, its model cannot be loaded, or its input shape differs.
    """
    import keras

    path = Path(config.run)
    try:
        trained = load_model(model_in(path))
    except CnnkitError as error:
        raise BuildError(Fault((*_BASE_PATH, "run"), error.headline, error.remedy)) from error
    if config.weights == "none":
        trained = keras.models.clone_model(trained)
    base = keras.Model(trained.input, _feature_tensor(trained, config.until), name=f"base_{trained.name}")
    wanted, shape = tuple(base.input_shape[1:]), tuple(inputs.shape[1:])
    tensor = inputs
    if len(shape) == 3 and shape[-1] == 1 and wanted[-1] == 3:
        tensor = keras.layers.Concatenate(name="grey_to_rgb", dtype=FLOAT32)([tensor] * 3)
    if len(shape) == 3 and tuple(tensor.shape[1:]) != wanted and tensor.shape[-1] == wanted[-1]:
        tensor = keras.layers.Resizing(wanted[0], wanted[1], name="resize", dtype=FLOAT32)(tensor)
    if tuple(tensor.shape[1:]) != wanted:
        message = f"the network of {config.run} takes {format_shape(wanted)}, but an example is {format_shape(shape)}"
        raise BuildError(Fault((*_BASE_PATH, "run"), message, "Name another run, or data of that kind."))
    base.trainable = False
    return AppliedBase(base(tensor, training=False), tensor, {**config.model_dump(exclude_none=True), "weights": "none"})


def _feature_tensor(model: "keras.Model", until: str | None) -> Any:
    """The output of the layer `until`; or the input of the last layer with weights, which is the head."""
    names = [layer.name for layer in model.layers]
    if until is not None:
        if until not in names:
            message = f"no layer is called {format_value(until)}.{did_you_mean(until, names)}"
            raise BuildError(Fault((*_BASE_PATH, "until"), message, f"It has: {', '.join(names)}."))
        return model.get_layer(until).output
    head = next((layer for layer in reversed(model.layers) if layer.weights), None)
    if head is None:
        raise BuildError(Fault((*_BASE_PATH, "run"), "the network has no weights, so there is nothing to transfer"))
    return head.input


def load_base(entry: Entry, input_shape: tuple[int, ...]) -> tuple["keras.Model", tuple[str, ...]]:
    """A network of keras.applications without its top, with the weights that the entry names.

    Args:
        entry: Class of the network and its arguments; `weights` is imagenet where left out, or a file's path.
        input_shape: `(height, width, 3)` of the base's input.

    Returns:
        The model, and notices where weights were substituted.

    Raises:
        BuildError: The input is too small, Keras rejects an argument, or the weights file is of another network.
        CnnkitError: The weights are neither on this machine nor downloadable.
    """
    name, arguments = entry.name, dict(entry.arguments)
    weights = arguments.pop("weights", "imagenet")
    weights = None if weights in (None, "none") else weights

    @fresh_names()
    def build_base(base_weights: str | None, **changes: Any) -> "keras.Model":
        fixed = {"include_top": False, "input_shape": list(input_shape), "weights": base_weights}
        with warnings.catch_warnings():  # weights for 224 pixels are used for other sizes on purpose
            warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
            try:
                base: keras.Model = build("applications", parse_entry({name: {**arguments, **changes, **fixed}}), _BASE_PATH)
            except BuildError as error:
                smallest = smallest_size(error.message)
                if smallest is None:
                    raise
                message = f"{name} takes images of at least {smallest}x{smallest}, got {input_shape[0]}x{input_shape[1]}"
                remedy = f"Write `model: {{image_size: {smallest}}}` or more, or `image_size: auto` for what it prefers."
                raise BuildError(Fault(_BASE_PATH, message, remedy)) from error
        return base

    def with_weights(path: Path, entry_path: tuple[str, ...] = _BASE_PATH, **changes: Any) -> "keras.Model":
        base = build_base(None, **changes)
        description = ", ".join(f"{key} {value}" for key, value in {**arguments, **changes}.items())
        load_weights(base, path, f"{name} with {description}" if description else name, entry_path)
        return base

    if weights is None:
        return build_base(None), ()
    if weights != "imagenet":
        return with_weights(Path(weights), (*_BASE_PATH, name, "weights")), ()
    local = local_weights(name, arguments.get("alpha", 1.0), input_shape)
    if local is not None:
        return with_weights(local), ()
    try:
        return through_keras(lambda: build_base("imagenet"), f"the ImageNet weights of {name} are not in {keras_home() / 'models'} and"), ()
    except DownloadError as error:
        if name != "MobileNetV2":
            remedy = (
                f"Put Keras's weights file into {keras_home() / 'models'}; or use `--base mobilenetv2`, whose smallest weights "
                f"come with cnnkit; or write `{name}: {{weights: none}}` to start from random ones."
            )
            raise CnnkitError(error.message, remedy) from error
        requested = arguments.get("alpha", 1.0)
        notice = (
            f"The ImageNet weights of MobileNetV2 (alpha {requested:g}) could be had neither from {keras_home() / 'models'} "
            f"nor from the network. This run uses the smaller MobileNetV2 with alpha {PACKAGED_ALPHA}, "
            "whose ImageNet weights come with cnnkit."
        )
        return with_weights(PACKAGED_WEIGHTS, alpha=PACKAGED_ALPHA), (notice,) if requested != PACKAGED_ALPHA else ()


def local_weights(name: str, alpha: float, input_shape: tuple[int, ...]) -> Path | None:
    """The local weights file of MobileNetV2, of another resolution where that for this size is absent: they are interchangeable.

    Keras has one file per resolution (96 to 224), and uses the 224 file for every other size.
    """
    if name != "MobileNetV2":
        return None
    rows = input_shape[0] if input_shape[0] == input_shape[1] and input_shape[0] in (96, 128, 160, 192) else 224
    for size in dict.fromkeys((rows, 224)):
        path = keras_home() / "models" / f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}_no_top.h5"
        if path.exists():
            return path
    return None


def apply_preprocessing(name: str, tensor: Any) -> Any:
    """Apply a base's own `preprocess_input` as layers, which become part of the saved model."""
    import keras

    scale, offset, reverses_channels = preprocessing_of(name)
    if reverses_channels:
        tensor = keras.ops.flip(tensor, axis=-1)  # RGB to BGR
    if np.allclose(scale, 1) and np.allclose(offset, 0):
        return tensor
    even = len(set(scale)) == 1 and len(set(offset)) == 1
    layer = keras.layers.Rescaling(scale[0] if even else scale, offset[0] if even else offset, name="base_preprocessing")
    return layer(tensor)


def preprocessing_of(name: str) -> tuple[list[float], list[float], bool]:
    """Scale and offset per channel, and whether RGB becomes BGR, of a base's `preprocess_input`, fitted to its outputs.

    Every one of them is affine in the pixel, `scale * pixel + offset`, after an optional reversal of the channels.

    Raises:
        NotImplementedError: The preprocessing of a newer Keras is not affine.
    """
    pixels = np.random.default_rng(0).uniform(0, 255, (64, 1, 1, 3))
    prepared = np.asarray(preprocess_input_of(name)(pixels.copy()), np.float64)
    for reverses in (False, True):
        source = pixels[..., ::-1] if reverses else pixels
        fits = [np.polyfit(source[:, 0, 0, channel], prepared[:, 0, 0, channel], 1) for channel in range(3)]
        scale, offset = [float(np.float32(fit[0])) for fit in fits], [float(np.float32(fit[1])) for fit in fits]
        if np.allclose(source * scale + offset, prepared, atol=1e-3):
            return scale, offset, reverses
    raise NotImplementedError(f"{name}.preprocess_input is not affine: extend model/base.py")
