"""Cross-checks of a config: its sections against each other, and model and training against the data spec. No TensorFlow, no I/O."""

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from cnnkit.config.callback_check import check_callbacks
from cnnkit.config.catalogue import BUILT_IN
from cnnkit.config.data_spec import DataSpec
from cnnkit.config.kept_epoch import check_keep
from cnnkit.config.keras_targets import is_loss_for_numbers, needs_hard_labels
from cnnkit.config.schema import MIXING, Config, Data
from cnnkit.config.target_encoding import TargetEncoding
from cnnkit.errors import Fault, Path, count, did_you_mean, format_value
from cnnkit.keras_api.checking import OUTPUTS, Entry
from cnnkit.metrics import COSTS, EPOCH, LOSS_COLUMN, RESULT_KEYS, VALIDATION_PREFIX

READ_BY = {
    "input": ("csv", "npz"),
    "target": ("dataset", "csv", "npz", "npy"),
    "separator": ("csv",),
    "group": ("csv", "npz"),
    "split": ("csv", "npz"),
    "task": ("csv", "npz", "npy"),
    "classes": ("folder", "csv", "npz", "npy"),
    "image_size": ("folder", "csv"),
    "exclude": ("folder", "csv"),
}  # option of the `data` section -> the sources that read it; others would ignore it without a word


def check_sections(config: Config) -> Iterator[Fault]:
    """Faults between the sections of a config whose sections are each valid; no data is read."""
    yield from unread_options(config.data)
    yield from _check_built_in(config)
    yield from _check_log(config)
    yield from _check_metric_names(config)
    yield from _check_precision(config)


def unread_options(data: Data) -> Iterator[Fault]:
    """Options that are set, but that the data's source does not read."""
    known = {source for sources in READ_BY.values() for source in sources}
    for option, sources in READ_BY.items():
        is_said_twice = option == "task" and data.source == "folder" and data.task == "classification"  # true of every folder
        if data.source in sources or data.source not in known or getattr(data, option) is None or is_said_twice:
            continue
        goes_with = f"{', '.join(f'`{each}`' for each in sources[:-1])} and `{sources[-1]}`" if len(sources) > 1 else f"`{sources[0]}`"
        in_table = data.source == "folder" and "csv" in sources
        remedy = "Leave it out, or list the images in a CSV file." if in_table else "Leave it out."
        yield Fault(("data", option), f"goes with {goes_with}, not with `{data.source}`", remedy)


def _check_precision(config: Config) -> Iterator[Fault]:
    """Penalties of activities, which Keras computes in the precision of their layer and cannot add to a loss of float32."""
    if config.train.precision == "float32":
        return
    for part in ("layers", "head"):
        written = [entry.written for entry in getattr(config.model, part) or ()]
        for path in _paths_of(written, ("activity_regularizer", "ActivityRegularization"), ("model", part)):
            message = f"does not go with `train: {{precision: {config.train.precision}}}`: Keras cannot add its penalty to the loss"
            yield Fault(path, message, "Leave it out, or train in float32.", on_key=True)


def _paths_of(value: Any, names: tuple[str, ...], path: Path) -> Iterator[Path]:
    """Paths of the keys and entries of some names in written layers, blocks included."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key in names:
            yield (*path, key)
        else:
            yield from _paths_of(item, names, (*path, key))


def _check_built_in(config: Config) -> Iterator[Fault]:
    data = config.data
    if data.dataset is None:
        if data.fallback is not None:
            yield Fault(("data", "fallback"), f"goes with `dataset`, not with `{data.source}`", "Leave it out.")
        return
    built_in = BUILT_IN[data.dataset]
    if data.target is not None and data.target not in built_in.targets:
        meant = did_you_mean(str(data.target), built_in.targets) or f" It has: {', '.join(built_in.targets)}."
        yield Fault(("data", "target"), f"{data.dataset} has no target {format_value(data.target)}.{meant}")
    if data.fallback is not None:
        other = BUILT_IN[data.fallback]
        if other.input_shape != built_in.input_shape:
            message = f"{data.fallback} has examples of {other.input_shape}, {data.dataset} of {built_in.input_shape}"
            yield Fault(("data", "fallback"), message, "A stand-in has to have the same shape.")
        elif len(other.class_names) != len(built_in.class_names):
            message = f"{data.fallback} has {len(other.class_names)} classes, {data.dataset} has {len(built_in.class_names)}"
            yield Fault(("data", "fallback"), message, "A stand-in has to have as many.")


def check_against_data(
    config: Config, spec: DataSpec, encodings: Mapping[int, tuple[TargetEncoding, tuple[Fault, ...]]], *, trained: bool = False
) -> Iterator[Fault]:
    """Faults of a valid config with respect to its data: shape, output layer, loss, metrics, class weights, augmentation.

    Args:
        config: A config whose sections are each valid.
        spec: The data spec of its source.
        encodings: Its target encodings, by number of outputs.
        trained: Whether the config's model is trained already; its loss, metrics and callbacks are then not checked.
    """
    shape = config.model.input_shape
    if shape is not None and tuple(shape) != spec.input_shape:
        message = f"is {shape}, but an example of {spec.name} is {list(spec.input_shape)}"
        yield Fault(("model", "input_shape"), message, "Write the data's shape, or leave `input_shape` out.")
    name, layers = ("layers", config.model.layers) if config.model.layers is not None else ("head", config.model.head)
    last = layers[-1] if layers and layers[-1].name == "Dense" else None
    if layers and last is not None:
        yield from _check_output_layer(last, ("model", name, len(layers) - 1), spec, config)
    if not trained:
        binary = len(encodings) == 2  # two classes, for which one output or two are good
        fitting = [each for each in encodings.values() if not each[1]] or list(encodings.values())
        encoding, faults = encodings[1 if last.arguments.get("units") == 1 else 2] if binary and last is not None else fitting[0]
        yield from faults
        own = config.data.dataset is None  # a source of one's own may bring validation examples
        yield from check_callbacks(config, encoding.metrics, has_validation=own or config.data.validation != 0)
        yield from check_keep(config, encoding.metrics, has_validation=own or config.data.validation != 0)
    yield from _check_targets(config, spec)
    yield from _check_augment(config, spec)


def _check_output_layer(layer: Entry, path: Path, spec: DataSpec, config: Config) -> Iterator[Fault]:
    arguments = layer.arguments
    task, here = spec.task, (*path, layer.name)
    units, activation = arguments.get("units"), arguments.get("activation")
    single = units == 1 or (units == OUTPUTS and task.outputs == 1)
    binary = single and task.is_classification and task.outputs == 2
    at_activation = (*here, "activation") if activation is not None else here
    if activation == "softmax" and single:
        remedy = {"regression": "Leave the activation out for a number."}.get(
            task.kind, f"Write `units: {task.outputs}`, or `activation: sigmoid` for two classes."
        )
        yield Fault(at_activation, "softmax over one unit is always 1", remedy)
    elif task.is_regression and activation in ("softmax", "sigmoid"):
        yield Fault(at_activation, f"{activation} gives values from 0 to 1, but {task.names[0]} is a number", "Leave the activation out.")
    elif (
        not task.is_regression
        and activation != (wanted := "sigmoid" if binary else task.activation)
        and not (config.train.loss is not None and is_loss_for_numbers(config.train.loss))
    ):
        got = "raw scores" if activation in (None, "linear") else f"{activation} outputs"
        want = "probabilities that add up to 1" if wanted == "softmax" else "a probability for each label"
        message = f"the last layer gives {got}, but the loss wants {want}"
        yield Fault(at_activation, message, f"Write `activation: {wanted}`.", on_key=activation is None)
    if isinstance(units, int) and units != task.outputs and not binary:
        remedy = f"Write `units: {task.outputs}`, or `units: {OUTPUTS}`, which follows the data."
        yield Fault((*here, "units"), f"the last layer gives {count(units, 'output')}, but {spec.name} has {task.outputs_text}", remedy)


def _check_targets(config: Config, spec: DataSpec) -> Iterator[Fault]:
    weights = config.train.class_weight
    if config.train.target_scale != "linear" and not spec.task.is_regression:
        message = f"{config.train.target_scale} is a scale for numbers, but {spec.name} has {spec.task.noun}"
        yield Fault(("train", "target_scale"), message, "Leave it out.")
    if weights is not None and spec.task.is_regression:
        yield Fault(("train", "class_weight"), f"{spec.task.names[0]} is a number, so there are no classes to weight", "Leave it out.")
    elif isinstance(weights, dict):
        for name in weights:
            if name not in spec.task.names:
                choice = did_you_mean(name, spec.task.names) or f" There are: {', '.join(spec.task.names[:20])}."
                yield Fault(("train", "class_weight", name), f"no class is called {format_value(name)}.{choice}", on_key=True)
    if config.data.sampling == "balanced" and not spec.task.is_classification:
        yield Fault(
            ("data", "sampling"),
            f"balanced wants one class for each example, but {spec.name} has {spec.task.noun}",
            "Write `sampling: shuffle`.",
        )


def warnings(config: Config) -> Iterator[str]:
    """Warnings for a valid config whose metrics could be misread."""
    selecting = [entry.name for entry in config.train.callbacks if entry.name in ("EarlyStopping", "ReduceLROnPlateau")]
    if config.data.validation == "test" and selecting:
        yield (
            f"{' and '.join(selecting)} watch the test examples (data.validation: test), so the test metrics are biased: "
            "the model was selected on the same examples. Hold out a share instead: `data: {validation: 0.1}`."
        )
    names = list(dict.fromkeys(each.name for each in config.train.metrics or [] if needs_hard_labels(each)))
    if names and config.data.mixes_labels:
        ignore, columns = ("ignores", "its `val_` column") if len(names) == 1 else ("ignore", "their `val_` columns")
        yield (
            f"{' and '.join(names)} of training examples {ignore} the soft labels that MixUp and CutMix make: "
            f"read {columns}, whose examples are not mixed."
        )


def _check_log(config: Config) -> Iterator[Fault]:
    for index, name in enumerate(config.train.log):
        if importlib.util.find_spec(name) is None:
            yield Fault(("train", "log", index), f"{name} is not installed", f"Install it: `pip install 'cnnkit[{name}]'`.")


def _check_metric_names(config: Config) -> Iterator[Fault]:
    """Faults of metrics named like another column of the history or another entry of the final results, which would overwrite it."""
    for index, entry in enumerate(config.train.metrics or []):
        name = entry.arguments.get("name")
        if name in (EPOCH, LOSS_COLUMN, *COSTS) or str(name).startswith(VALIDATION_PREFIX):
            message = f"{format_value(name)} is the name of another column of the history"
            remedy = "Write another name" + (f" without `{VALIDATION_PREFIX}`" if str(name).startswith(VALIDATION_PREFIX) else "") + "."
            yield Fault(("train", "metrics", index, *entry.key, "name"), message, remedy)
        elif name in RESULT_KEYS:
            message = f"{format_value(name)} is the name of another entry of the final results"
            yield Fault(("train", "metrics", index, *entry.key, "name"), message, "Write another name.")


def _check_augment(config: Config, spec: DataSpec) -> Iterator[Fault]:
    if config.data.augment_passes is not None:
        passes: Path = ("data", "augment_passes")
        if config.model.base is None or not config.data.augment:
            yield Fault(passes, "goes with a base and `data.augment`: it computes the features of augmented passes once", "Leave it out.")
        elif config.data.mixes_labels:
            yield Fault(passes, "does not go with MixUp or CutMix, whose labels change with the pixels", "Leave it out.")
    for index, entry in enumerate(config.data.augment):
        name = entry.name
        if name in MIXING and not spec.task.is_classification:
            yield Fault(("data", "augment", index), f"{name} mixes classes, but {spec.name} has {spec.task.noun}", "Leave it out.")
        if len(spec.input_shape) != 3 and name not in ("GaussianNoise", "GaussianDropout", "Dropout", "SpatialDropout1D"):
            yield Fault(
                ("data", "augment", index),
                f"{name} is for images, but an example of {spec.name} is {spec.input_shape}",
                "Use GaussianNoise.",
            )
        elif name == "shift" and entry.arguments["pixels"] >= min(spec.input_shape[:2]):
            height, width = spec.input_shape[:2]
            message = f"wants less than the height and width of an image, which are {height} and {width}, got {entry.arguments['pixels']}"
            yield Fault(("data", "augment", index, *entry.key, "pixels"), message, "Shift by fewer pixels.")
