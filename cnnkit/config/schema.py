"""The sections of a config, their fields, defaults and limits: each option is written here once. No TensorFlow.

Over 300 lines: whoever wonders what a config can say, and within which limits, reads this one file from top to bottom.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnkit.config.catalogue import BUILT_IN, OFFLINE
from cnnkit.config.picture_options import LARGEST_MAX_PIXELS, Resize
from cnnkit.errors import did_you_mean, format_value
from cnnkit.keras_api.checking import Entry, as_number, parse_entry


@dataclass(frozen=True)
class KerasObject:
    """Annotates a field that holds one Keras object of a kind (a key of `signatures.KINDS`), parsed here and dumped as written.

    Attributes:
        kind: The kind.
        words: cnnkit's own words that the field takes as well, a key of `OWN_WORDS`; empty for none.
    """

    kind: str
    words: str = ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A parser of the entry, whose name and arguments `validate` checks against the signature table."""
        written = core_schema.plain_serializer_function_ser_schema(lambda value: value.written if isinstance(value, Entry) else value)
        return core_schema.no_info_after_validator_function(_parsed, core_schema.any_schema(), serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A placeholder that `json_schema` fills from the signature table."""
        return {"x-object": f"cnnkit.{self.words}" if self.words else f"{self.library}.{self.kind}"}

    @property
    def library(self) -> str:
        """The library of the object, in lower case."""
        return "keras"


class OptunaObject(KerasObject):
    """The same of an object of Optuna: a kind of `optuna_objects.OPTUNA_KINDS`."""

    @property
    def library(self) -> str:
        """The library of the object, in lower case."""
        return "optuna"


@dataclass(frozen=True)
class NamesSource:
    """Annotates a field of `Data` that names a data source.

    Attributes:
        module: The module in `cnnkit/data/sources/` that defines the function `open_FIELD`.
        value: What the field holds: a `name`, the path of a `folder`, or the path of a `file` that ends in `.FIELD`.
    """

    module: str
    value: Literal["name", "folder", "file"] = "file"


def _parsed(value: object) -> object:
    """An entry taken apart; anything else as it is: a base of one's own, or a fault that `validate` reports."""
    is_mapping = isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), dict | None)
    return parse_entry(value) if isinstance(value, str) or is_mapping else value  # type: ignore[arg-type]


MOST_DEVICES = 1024  # of one machine

MIXING = ("MixUp", "CutMix")  # augmentations that mix two examples, labels included

Layer = Annotated[Entry, KerasObject("layers", "blocks")]
Augmentation = Annotated[Entry, KerasObject("layers", "augmentations")]
Number = Annotated[float, BeforeValidator(lambda value: as_number(value) if as_number(value) is not None else value)]


class Section(BaseModel):
    """Base of all sections: no unknown keys, no silent type conversions, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)


def _known(names: tuple[str, ...]) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in names:
            choice = did_you_mean(value, names) or f" Known: {', '.join(names)}."
            raise PydanticCustomError("unknown_name", "unknown data set {value}.{choice}", {"value": format_value(value), "choice": choice})
        return value

    return BeforeValidator(check)


def _validation(value: object) -> object:
    number = as_number(value) if isinstance(value, str) else value
    share = isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < 1
    if value != "test" and not share:
        raise PydanticCustomError(
            "validation", "wants a share of the training examples from 0 up to 1, or `test`, got {value}", {"value": format_value(value)}
        )
    return value if value == "test" else float(number)  # type: ignore[arg-type]


def _devices(value: object) -> object:
    def is_number(each: object, least: int) -> bool:
        return isinstance(each, int) and not isinstance(each, bool) and least <= each < MOST_DEVICES

    is_list = isinstance(value, list) and value and len(set(map(str, value))) == len(value) and all(is_number(each, 0) for each in value)
    if value != "auto" and not is_number(value, 1) and not is_list:
        message = "wants `auto`, a number of devices, or a list of different ones such as [0, 2], got {value}"
        raise PydanticCustomError("devices", message, {"value": format_value(value)})
    return value


def _auto_or_flag(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise PydanticCustomError("auto_or_flag", "wants `auto`, true or false, got {value}", {"value": format_value(value)})
    return value


def _byte_count(value: object) -> object:
    """`2GB` or `512MB` (of 1024) to bytes; anything else as it is."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG])B", value) if isinstance(value, str) else None
    return int(float(match.group(1)) * 1024 ** ("KMG".index(match.group(2)) + 1)) if match else value


ByteCount = Annotated[int, BeforeValidator(_byte_count)]


_INTERVAL = re.compile(r"(\d+(?:\.\d+)?) ?(seconds?|minutes?|hours?)")


def _interval(value: object) -> object:
    if (isinstance(value, str) and not _INTERVAL.fullmatch(value)) or (isinstance(value, int) and value < 1):
        message = "wants a number of steps, or a time such as `10 minutes`, got {value}"
        raise PydanticCustomError("interval", message, {"value": format_value(value)})
    return value


class Fold(Section):
    """One fold of a cross-validation."""

    number: int = Field(ge=1)
    """The fold that is held out, from 1."""

    of: int = Field(ge=2, le=1000)
    """The number of folds."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "Fold":
        if self.number > self.of:
            raise PydanticCustomError("fold", "wants a number from 1 to {of}, got {number}", {"of": self.of, "number": self.number})
        return self


class Data(Section):
    """The data source, and how its examples are split, read, augmented and batched."""

    dataset: Annotated[str | None, _known(tuple(BUILT_IN)), NamesSource("built_in", "name")] = Field(
        default=None, json_schema_extra={"enum": [*sorted(BUILT_IN), None]}
    )
    """A built-in data set: cifar10, cifar100, mnist, fashion_mnist, digits, shapes or waves."""

    folder: Annotated[str | None, NamesSource("folder", "folder")] = None
    """A folder of images, a folder a class; with or without train, val (valid, validation) and test above the classes."""

    csv: Annotated[str | None, NamesSource("csv_file")] = None
    """A CSV file with a column of image paths (relative to it) and one of labels or numbers, or several."""

    npz: Annotated[str | None, NamesSource("arrays")] = None
    """An npz file with an array of images (n, height, width, channels) or signals (n, steps, channels), and one of targets."""

    npy: Annotated[str | None, NamesSource("arrays")] = None
    """An npy file of inputs, read a batch at a time; its targets are in the npy file that `target` names."""

    input: str | None = None
    """The CSV column of paths, or the npz array of inputs; `path`, `file`, `filename` or `image`, or `x` where left out."""

    target: str | list[str] | None = None
    """What to predict: CSV columns, an npz array, or a built-in set's own (`size`); where left out, a usual name such as `label` or `y`."""

    separator: str | None = Field(default=None, min_length=1, max_length=3)
    """Separator of several labels in one CSV cell, such as `|`; makes the task multilabel."""

    group: str | None = None
    """The CSV column or npz array of groups (patients, subjects, scenes) that are never separated into different splits."""

    split: str | None = None
    """The CSV column or npz array that holds train, validation or test for each example."""

    task: Literal["classification", "multilabel", "regression"] | None = None
    """The prediction task; inferred from the targets where left out."""

    classes: list[str] | None = Field(default=None, min_length=2)
    """The classes to use, in this order; all, in natural order, where left out."""

    fallback: Annotated[str | None, _known(OFFLINE)] = Field(default=None, json_schema_extra={"enum": [*OFFLINE, None]})
    """A substitute (digits, shapes or waves) for a built-in set that is neither on disk nor downloadable."""

    validation: Annotated[str | float, BeforeValidator(_validation)] = Field(
        default=0.1,
        json_schema_extra={"anyOf": [{"const": "test"}, {"type": "number"}, {"type": "string", "pattern": "^[0-9.]+ */ *[0-9.]+$"}]},
    )
    """The fraction held out for validation, stratified by class, where the data has no such split; or `test` for the test examples."""

    test: Number = Field(default=0.15, ge=0, lt=1)
    """The fraction held out for the final evaluation, where the data has no test split."""

    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    """The seed of splits and synthetic data; the config's `seed` where left out. With it, other seeds learn on the same splits."""

    fold: Fold | None = None
    """Hold out one fold of a cross-validation for the final evaluation, in place of the test split: `cnnkit train --folds 5` sets it."""

    limit: int | None = Field(default=None, ge=1)
    """Use only this many training examples, stratified by class; all where left out."""

    image_size: (
        Annotated[int, Field(ge=1, le=8192)]
        | Annotated[list[Annotated[int, Field(ge=1, le=8192)]], Field(min_length=2, max_length=2)]
        | None
    ) = None
    """Side in pixels, or [height, width], to which image files are resized; their own size where all are alike."""

    color: Literal["rgb", "grey"] = "rgb"
    """Whether image files are read in color or in grey."""

    resize: Resize = "stretch"
    """How an image of another aspect ratio is resized: stretched, center-cropped, or padded with black bars."""

    max_pixels: int = Field(default=100_000_000, ge=1, le=LARGEST_MAX_PIXELS)
    """Largest image (width x height, in pixels) that is opened; a larger one is refused by its header."""

    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do when image files cannot be read: stop before training, or skip them with a notice."""

    exclude: str | None = None
    """A text file of image paths, one a line, to leave out: `cnnkit data check --quarantine` writes one."""

    cache: Literal["auto", "memory", "disk", "none"] = "auto"
    """Where decoded images are cached: in memory where they fit, else in a file in the run's folder."""

    cache_memory: ByteCount | None = Field(default=None, ge=0, json_schema_extra={"type": ["integer", "string", "null"]})
    """Memory that `cache: auto` may use, in bytes or as 512MB; half of the free memory where left out."""

    augment_passes: int | None = Field(default=None, ge=1, le=1000)
    """Over a frozen base: compute the features of this many augmented passes once, and train the head on them in turn."""

    augment: list[Augmentation] = Field(default=[])
    """Keras's own random preprocessing layers, and shift and alternating_flip: for training batches, never part of the saved model."""

    sampling: Literal["shuffle", "balanced"] = "shuffle"
    """Each example once an epoch; or sampled so that every class is equally frequent."""

    batch_size: int = Field(default=32, ge=1, le=65536)
    """Examples in one optimizer step."""

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        named = [name for name in SOURCES if getattr(self, name) is not None]
        if len(named) != 1:
            got = " and ".join(named) or "none"
            raise PydanticCustomError("one_source", "wants one of {sources}, got {got}", {"sources": ", ".join(SOURCES), "got": got})
        return self

    @property
    def source(self) -> str:
        """The name of the field that names the source, such as `folder`."""
        return next(name for name in SOURCES if getattr(self, name) is not None)

    @property
    def mixes_labels(self) -> bool:
        """Whether `augment` mixes examples, so that labels become soft labels."""
        return any(entry.name in MIXING for entry in self.augment)


SOURCES = {name: mark for name, field in Data.model_fields.items() for mark in field.metadata if isinstance(mark, NamesSource)}


class Shift(Section):
    """`shift`: each image by its own random number of whole pixels, its borders reflected, as by padding and cropping it."""

    pixels: int = Field(ge=1, le=4096)
    """Largest shift in pixels, in each direction; smaller than the image."""


class AlternatingFlip(Section):
    """`alternating_flip`: each image mirrored left to right in every other epoch, a random half of them in the first (Jordan 2024)."""


AUGMENTATIONS: dict[str, type[Section]] = {"shift": Shift, "alternating_flip": AlternatingFlip}


class Repeat(Section):
    """`repeat`: the same layers several times in a row, each time with weights of its own."""

    times: int = Field(ge=1, le=1000)
    """How many times."""

    layers: list[Layer] = Field(min_length=1)
    """The layers to repeat."""


class Residual(Section):
    """`residual`: layers whose output is added to their input (He et al. 2015), projected where the shapes differ."""

    layers: list[Layer] = Field(min_length=1)
    """The layers of the residual branch."""

    shortcut: list[Layer] | None = None
    """The layers of the shortcut; where left out, the identity, or a 1x1 convolution where the shapes differ."""

    activation: Annotated[Entry | None, KerasObject("activations")] = None
    """The activation after the addition; none where left out."""


class Branches(Section):
    """`branches`: the same input through several paths, merged at the end; an empty path is the identity."""

    paths: list[list[Layer]] = Field(min_length=2, max_length=64)
    """The layers of each path."""

    merge: Literal["concatenate", "add", "average", "maximum", "multiply"] = "concatenate"
    """How the paths' outputs are merged: along the channels, or elementwise."""


class OwnBase(Section):
    """`base: {run: PATH}`: a network that cnnkit trained, as a base."""

    run: str
    """A run's folder or a .keras file."""

    until: str | None = None
    """The last layer that is used; where left out, the layer before its last layer with weights."""

    weights: Literal["trained", "none"] = "trained"
    """Its trained weights, or none for random initialization."""


class Whiten(Section):
    """`whiten`: a convolution after which patches of the training images have the identity as covariance; fitted once, then frozen."""

    kernel_size: int = Field(default=2, ge=1, le=8)
    """Side of the patches in pixels; the output has 2 · kernel_size² · channels channels, each direction with both signs."""

    epsilon: Number = Field(default=5e-4, gt=0)
    """Added to the variance of each direction of the patches before it is divided by its root."""

    bias_epochs: int | None = Field(default=None, ge=0, le=1_000_000)
    """Epochs in which the biases are trained; all where left out. The kernels never are."""


BLOCKS: dict[str, type[Section]] = {"repeat": Repeat, "residual": Residual, "branches": Branches, "whiten": Whiten}

OWN_WORDS = {"blocks": BLOCKS, "augmentations": AUGMENTATIONS}  # words of cnnkit's own among Keras's layers, by `KerasObject.words`


class Model(Section):
    """The network: `layers` of its own, or a pretrained `base` with a `head`."""

    input_shape: list[Annotated[int, Field(ge=1, le=65536)]] | None = Field(default=None, min_length=1, max_length=4)
    """Shape of one example without the batch, such as [32, 32, 3]; the data's own where left out."""

    preprocess: list[Layer] = Field(default=[])
    """Keras preprocessing layers that become the first part of the saved model, such as Rescaling."""

    layers: list[Layer] | None = Field(default=None, min_length=1)
    """The layers in order, each under its Keras name; and the blocks repeat, residual, branches and whiten."""

    base: Annotated[Entry | Mapping[str, Any] | None, KerasObject("applications")] = None
    """A pretrained network of keras.applications, such as MobileNetV2, in place of `layers`; or `{run: PATH}`, one of your own."""

    image_size: Annotated[int, Field(ge=16, le=4096)] | Literal["auto"] | None = None
    """Side in pixels to which images are resized inside the model before the base; `auto` for the size the base prefers."""

    head: list[Layer] | None = Field(default=None, min_length=1)
    """The layers on top of the base; pooling, dropout and one Dense layer of the data's outputs where left out."""

    @model_validator(mode="after")
    def _one_network(self) -> "Model":
        if (self.layers is None) == (self.base is None):
            got = "neither" if self.layers is None else "both"
            raise PydanticCustomError("one_network", "wants either `layers` or `base`, got {got}", {"got": got})
        if self.base is None and (self.head is not None or self.image_size is not None):
            raise PydanticCustomError("head_without_base", "`head` and `image_size` go with `base`, not with `layers`")
        return self


class Phase(Section):
    """One phase of training: trainable layers, epochs and optimizer. The model is recompiled for each."""

    train: str = Field(default="head", min_length=1, max_length=100)
    """The trainable layers besides the head: `head` (nothing else), `all`, `from LAYER`, `last N`, or a pattern of layer names."""

    epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    """Passes over the training examples; `train.epochs` where left out."""

    optimizer: Annotated[Entry | None, KerasObject("optimizers")] = None
    """The optimizer of this phase; `train.optimizer` where left out."""

    layer_decay: Number | None = Field(default=None, gt=0, le=1)
    """Factor between the learning rates of each layer of the base and the layer above it."""

    batch_norm: Literal["frozen", "train"] = "frozen"
    """Whether BatchNormalization inside the base stays in inference mode, or trains with its layers."""


class Train(Section):
    """How the network learns."""

    epochs: int = Field(default=10, ge=1, le=1_000_000)
    """Passes over the training examples."""

    optimizer: Annotated[Entry, KerasObject("optimizers")] = Field(default="adam", validate_default=True)
    """A Keras optimizer: `adam`, or `Adam: {learning_rate: 1e-3}`."""

    loss: Annotated[Entry | None, KerasObject("losses")] = None
    """A Keras loss; where left out, the crossentropy that fits the classes or labels, or mean_squared_error for numbers."""

    metrics: list[Annotated[Entry, KerasObject("metrics")]] | None = None
    """Keras metrics; where left out, accuracy for classes, binary_accuracy for labels, mae for numbers."""

    target_scale: Literal["linear", "log"] = "linear"
    """Scale on which numbers are learned: as they are, or their logarithm (prices, counts); predictions are in their own unit."""

    class_weight: Literal["balanced"] | dict[str, Annotated[Number, Field(ge=0)]] | None = None
    """Weight of each class in the loss: `balanced` (by how rare it is), or {name: weight}."""

    learning_rate_factors: dict[str, Annotated[Number, Field(gt=0)]] = Field(default={})
    """Weights that learn faster or slower: `LAYER` or `LAYER.WEIGHT` (a class or a pattern of names; a weight such as beta) -> factor."""

    keep: str | None = Field(default=None, json_schema_extra={"anyOf": [{"enum": ["best", "last", None]}, {"pattern": "^val_"}]})
    """The epoch whose weights are saved: best (by the first validation metric), last, or a column such as val_loss; docs/schedules.md."""

    checkpoint_every: Annotated[int | str, BeforeValidator(_interval)] = "5 minutes"
    """Interval between checkpoints inside an epoch: a number of optimizer steps, or a time such as `10 minutes`."""

    on_nan: Literal["stop", "restore"] = "stop"
    """When the loss becomes NaN or infinite: stop, or restore the last checkpoint and halve the learning rate."""

    devices: Annotated[Literal["auto"] | int | list[int], BeforeValidator(_devices)] = "auto"
    """Devices of this machine: all GPUs (`auto`), a number of them, or a list such as [0, 2]; without a GPU, a number of CPU devices."""

    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras dtype policy of the layers: float32 throughout, or 16-bit computation with float32 weights, which is faster on recent GPUs."""

    saved_precision: Literal["float32", "as_trained"] = "float32"
    """Dtype policy of the saved model: float32, or `precision`."""

    jit_compile: Annotated[Literal["auto"] | bool, BeforeValidator(_auto_or_flag)] = "auto"
    """Whether XLA compiles each step; `auto` as Keras does by default: on a GPU."""

    log: list[Literal["tensorboard", "mlflow"]] = Field(default=[])
    """Loggers of metrics besides the run's folder: tensorboard and mlflow, which you install yourself."""

    phases: list[Phase] | None = Field(default=None, min_length=1, max_length=20)
    """Phases one after another, with one history; one phase where left out: the head over a frozen base, or all layers."""

    callbacks: list[Annotated[Entry, KerasObject("callbacks")]] = Field(default=[])
    """Keras callbacks, such as EarlyStopping."""

    def optimizer_of(self, phase: Phase) -> Entry:
        """The optimizer of a phase: its own, else that of the training."""
        return phase.optimizer if phase.optimizer is not None else self.optimizer

    def epochs_of(self, phase: Phase) -> int:
        """The number of epochs of a phase: its own, else that of the training."""
        return phase.epochs or self.epochs

    @property
    def total_epochs(self) -> int:
        """The number of epochs of all phases together."""
        return self.epochs if self.phases is None else sum(map(self.epochs_of, self.phases))

    @property
    def checkpoint_interval(self) -> tuple[int, float]:
        """`checkpoint_every` as (optimizer steps, seconds); the one that does not apply is 0."""
        if isinstance(self.checkpoint_every, int):
            return self.checkpoint_every, 0.0
        match = _INTERVAL.fullmatch(self.checkpoint_every)
        assert match is not None
        return 0, float(match.group(1)) * {"s": 1, "m": 60, "h": 3600}[match.group(2)[0]]


class Sweep(Section):
    """`cnnkit sweep`: trials with other values of some entries, chosen by Optuna. Other commands ignore this section."""

    trials: int = Field(ge=1, le=100_000)
    """How many trials; a sweep goes on where it was when this is raised."""

    objective: str
    """What is optimized: a validation column of the history, such as `val_accuracy` (high) or `val_loss` (low)."""

    sampler: Annotated[Entry, OptunaObject("samplers")] = Field(default="TPESampler", validate_default=True)
    """The Optuna sampler that chooses the values; its seed follows from the config's."""

    pruner: Annotated[Entry, OptunaObject("pruners")] = Field(default="NopPruner", validate_default=True)
    """The Optuna pruner that ends a trial early, by its objective after each epoch; none where left out."""

    space: dict[str, Annotated[Entry, OptunaObject("distributions")]] = Field(min_length=1)
    """Path of an entry, such as `model.layers[0].Conv2D.filters` -> the Optuna distribution of its values."""


class Config(Section):
    """A whole cnnkit config."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """The run's name, and that of its folder: letters, digits, dots, dashes and underscores."""

    seed: int = Field(default=42, ge=0, le=2**31 - 1)
    """The random seed of weights, shuffling, dropout, splits and synthetic data."""

    data: Data
    model: Model
    train: Train = Train()

    sweep: Sweep | None = None
    """The search space of `cnnkit sweep`, and how it is searched."""

    @property
    def phases(self) -> Sequence[Phase]:
        """The phases of training in order; where none are written, one: the head of a base, or the whole network of `layers`."""
        return self.train.phases or [Phase(train="all" if self.model.base is None else "head")]

    @property
    def data_seed(self) -> int:
        """The seed of splits and synthetic data."""
        return self.seed if self.data.seed is None else self.data.seed
