"""The task that the data sets (classes or numbers), and whether output layer, loss and metrics fit it. No TensorFlow."""

from collections.abc import Iterator
from typing import Any

from cnnkit.config.schema import Config
from cnnkit.data.catalogue import BUILT_IN, Facts
from cnnkit.errors import Fault, Path, did_you_mean, fold, shown
from cnnkit.keras_objects import OUTPUTS, is_entry, split_entry

_ONE_HOT_LOSSES = ("categoricalcrossentropy", "categoricalfocalcrossentropy", "categoricalhinge", "kldivergence", "kld", "dice", "tversky")
_CLASS_LOSSES = (*_ONE_HOT_LOSSES, "sparsecategoricalcrossentropy", "ctc")
_BINARY_LOSSES = ("binarycrossentropy", "binaryfocalcrossentropy", "bce", "hinge", "squaredhinge")
_CLASS_METRICS = ("accuracy", "acc", "sparsecategoricalaccuracy", "sparsetopkcategoricalaccuracy", "sparsecategoricalcrossentropy")


def default_loss(facts: Facts, target: str | None) -> str:
    """The loss where the config names none."""
    return "mean_squared_error" if facts.is_regression(target) else "sparse_categorical_crossentropy"


def default_metrics(facts: Facts, target: str | None) -> list[str]:
    """The metrics where the config names none."""
    return ["mae"] if facts.is_regression(target) else ["accuracy"]


def loss_name(config: Config, facts: Facts) -> str:
    """The name of the config's loss, or of the default one."""
    loss = config.train.loss
    return split_entry(loss)[0] if loss is not None else default_loss(facts, config.data.target)


def check(config: Config) -> Iterator[Fault]:
    """Faults between sections of a config that is valid section by section."""
    facts = BUILT_IN[config.data.dataset]
    target = config.data.target
    if target is not None and target not in facts.targets:
        meant = did_you_mean(target, facts.targets) or f" It has: {', '.join(facts.targets)}."
        yield Fault(("data", "target"), f"{config.data.dataset} has no target {shown(target)}.{meant}")
        return
    yield from _check_fallback(config, facts)
    yield from _check_input_shape(config, facts)
    outputs = facts.outputs(target)
    layers_path: Path = ("model", "layers") if config.model.layers is not None else ("model", "head")
    layers = config.model.layers if config.model.layers is not None else config.model.head
    if layers:
        yield from _check_output_layer(layers[-1], (*layers_path, len(layers) - 1), outputs, facts, config)
    yield from _check_loss(config, facts)


def _check_fallback(config: Config, facts: Facts) -> Iterator[Fault]:
    if config.data.fallback is None:
        return
    other = BUILT_IN[config.data.fallback]
    name, wanted = config.data.fallback, config.data.dataset
    if other.input_shape != facts.input_shape:
        yield Fault(
            ("data", "fallback"),
            f"{name} has examples of {other.input_shape}, {wanted} of {facts.input_shape}",
            "A stand-in has to have the same shape.",
        )
    elif len(other.class_names) != len(facts.class_names):
        yield Fault(
            ("data", "fallback"),
            f"{name} has {len(other.class_names)} classes, {wanted} has {len(facts.class_names)}",
            "A stand-in has to have as many.",
        )


def _check_input_shape(config: Config, facts: Facts) -> Iterator[Fault]:
    shape = config.model.input_shape
    if shape is not None and tuple(shape) != facts.input_shape:
        yield Fault(
            ("model", "input_shape"),
            f"is {shape}, but an example of {config.data.dataset} is {list(facts.input_shape)}",
            "Write the data's shape, or leave `input_shape` out.",
        )


def _check_output_layer(layer: Any, path: Path, outputs: int, facts: Facts, config: Config) -> Iterator[Fault]:
    if not is_entry(layer):
        return
    name, arguments = split_entry(layer)
    if name != "Dense":
        return
    units, activation = arguments.get("units"), arguments.get("activation")
    here = (*path, name)
    regression = facts.is_regression(config.data.target)
    single = units == 1 or (units == OUTPUTS and outputs == 1)
    if activation == "softmax" and single:
        remedy = "Leave the activation out for a number." if regression else f"Write `units: {outputs}`."
        yield Fault((*here, "activation"), "softmax over one unit is always 1", remedy)
    elif regression and activation == "softmax":
        yield Fault((*here, "activation"), f"softmax gives shares of one, but {config.data.target} is a number", "Leave the activation out.")
    elif not regression and not single and activation != "softmax" and fold(loss_name(config, facts)) in _CLASS_LOSSES:
        got = "raw scores" if activation in (None, "linear") else f"what {activation} leaves"
        message = f"the last layer gives {got}, but the loss wants probabilities that add up to 1"
        yield Fault((*here, "activation") if activation else here, message, "Write `activation: softmax`.", on_key=activation is None)
    if isinstance(units, int) and units != outputs and not (single and not regression and len(facts.class_names) == 2):
        what = "number to predict" if regression else "classes"
        remedy = f"Write `units: {outputs}`, or `units: {OUTPUTS}`, which follows the data."
        yield Fault((*here, "units"), f"the last layer gives {units} outputs, but {config.data.dataset} has {outputs} {what}", remedy)


def _check_loss(config: Config, facts: Facts) -> Iterator[Fault]:
    regression = facts.is_regression(config.data.target)
    loss = config.train.loss
    if loss is not None:
        name, arguments = split_entry(loss)
        folded = fold(name)
        if arguments.get("from_logits"):
            yield Fault(
                ("train", "loss", name, "from_logits"),
                "cnnkit's models give probabilities, so that whoever uses them need not know of logits",
                "Leave it out, and end with `activation: softmax`; Keras computes that pair as exactly as from logits.",
                on_key=True,
            )
        if regression and folded in (*_CLASS_LOSSES, *_BINARY_LOSSES):
            yield Fault(("train", "loss"), f"{name} is a loss for classes, but {config.data.target} is a number", "Write `loss: mean_squared_error`.")
        elif not regression and folded in _ONE_HOT_LOSSES:
            yield Fault(
                ("train", "loss"), f"{name} wants one-hot labels, but the labels are class indices", "Write `loss: sparse_categorical_crossentropy`."
            )
        elif not regression and folded not in (*_CLASS_LOSSES, *_BINARY_LOSSES):
            yield Fault(
                ("train", "loss"), f"{name} is a loss for numbers, but {config.data.dataset} has classes", "Write `loss: sparse_categorical_crossentropy`."
            )
        elif folded in _BINARY_LOSSES and len(facts.class_names) > 2:
            yield Fault(
                ("train", "loss"),
                f"{name} is for two classes, but {config.data.dataset} has {len(facts.class_names)}",
                "Write `loss: sparse_categorical_crossentropy`.",
            )
    for index, metric in enumerate(config.train.metrics or []):
        if regression and fold(split_entry(metric)[0]) in _CLASS_METRICS:
            name = split_entry(metric)[0]
            yield Fault(("train", "metrics", index), f"{name} counts classes, but {config.data.target} is a number", "Write `mae`.")
