"""Check a config's callbacks before training: the column that each monitors, and other entries that they depend on. No TensorFlow."""

from collections import Counter
from collections.abc import Iterator, Sequence

from cnnkit.config.schema import Config
from cnnkit.errors import Fault, Path, did_you_mean, format_value
from cnnkit.keras_api.checking import Entry
from cnnkit.keras_api.compat import snake_case
from cnnkit.keras_api.signatures import signature_table
from cnnkit.metrics import LOSS_COLUMN, VALIDATION_PREFIX


def check_callbacks(config: Config, metrics: Sequence[Entry], *, has_validation: bool) -> Iterator[Fault]:
    """Faults of `train.callbacks`.

    Args:
        config: A config whose sections are each valid.
        metrics: Entries of the metrics that the model is compiled with.
        has_validation: Whether there are validation examples, or may be.
    """
    train = config.train
    optimizers = [train.optimizer_of(phase) for phase in config.phases]
    without_ema = [each.name for each in optimizers if each.arguments.get("use_ema") is not True]
    for index, entry in enumerate(train.callbacks):
        name, path = entry.name, ("train", "callbacks", index)
        if name == "SwapEMAWeights" and without_ema:
            message = f"SwapEMAWeights evaluates with the moving average of the weights, but {without_ema[0]} computes none"
            yield Fault(path, message, "Give the optimizer `use_ema: true`, such as `Adam: {use_ema: true}`.")
        elif name == "TerminateOnNaN" and train.on_nan == "restore":
            message = "TerminateOnNaN ends training when the loss becomes NaN, but `on_nan: restore` continues from the last checkpoint"
            yield Fault(path, message, "Leave one of them out.")
        elif name == "ReduceLROnPlateau":
            yield from (_schedule_fault(each, (*path, *entry.key)) for each in optimizers if _has_schedule(each))
    yield from check_monitors(train.callbacks, metrics, has_validation=has_validation)


def check_monitors(callbacks: Sequence[Entry], metrics: Sequence[Entry], *, has_validation: bool) -> Iterator[Fault]:
    """Faults of callbacks that monitor a column which Keras's logs will not have.

    Args:
        callbacks: Valid entries of `train.callbacks`.
        metrics: Entries of the metrics that the model is compiled with.
        has_validation: Whether there are validation examples, or may be.
    """
    columns = log_columns(metrics)
    of_validation = [f"{VALIDATION_PREFIX}{column}" for column in columns]
    known = [*columns, *(of_validation if has_validation else [])]
    for index, entry in enumerate(callbacks):
        name, arguments = entry.name, entry.arguments
        argument = signature_table().objects["callbacks"][name].arguments.get("monitor")
        if argument is None:
            continue
        monitor = arguments.get("monitor", argument.default)
        path: Path = ("train", "callbacks", index, *entry.key)
        path = (*path, "monitor") if "monitor" in arguments else path
        if monitor in of_validation and not has_validation:
            column = monitor.removeprefix(VALIDATION_PREFIX)
            remedy = f"Hold out a share of the training examples: `data: {{validation: 0.1}}`; or write `monitor: {column}`."
            yield Fault(path, f"{name} monitors {monitor}, but there are no validation examples", remedy, on_key="monitor" not in arguments)
        elif monitor not in known:
            meant = did_you_mean(str(monitor), known)
            remedy = "" if meant else f"There are: {', '.join(known)}."
            yield Fault(path, f"{name} monitors {format_value(monitor)}, which is neither the loss nor a metric.{meant}", remedy)
        if name == "ReduceLROnPlateau":
            known.append("learning_rate")  # it adds the rate to the logs of the callbacks after it


def log_columns(metrics: Sequence[Entry]) -> list[str]:
    """The columns that training logs without validation: `loss`, and the metrics under the names that Keras gives them.

    Args:
        metrics: Entries of the metrics that the model is compiled with.
    """
    automatic: Counter[str] = Counter()  # names that Keras derives from a class
    taken: Counter[str] = Counter()
    columns = [LOSS_COLUMN]
    for entry in metrics:
        name = entry.name
        signature = signature_table().objects["metrics"].get(name)
        default = signature.arguments["name"].default if signature is not None and "name" in signature.arguments else None
        column = entry.arguments.get("name") or default or (name if signature is None else _numbered(snake_case(name), automatic))
        columns.append(_numbered(column, taken))
    return list(dict.fromkeys(columns))


def _numbered(name: str, taken: Counter[str]) -> str:
    """`auc` the first time, then `auc_1`, `auc_2`."""
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}_{taken[name] - 1}"


def _has_schedule(optimizer: Entry) -> bool:
    return isinstance(optimizer.arguments.get("learning_rate"), dict)


def _schedule_fault(optimizer: Entry, path: Path) -> Fault:
    (schedule,) = optimizer.arguments["learning_rate"]
    message = f"ReduceLROnPlateau sets the learning rate, but that of {optimizer.name} follows {schedule}"
    return Fault(path, message, "Leave one of them out.", on_key=True)
