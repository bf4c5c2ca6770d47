"""What a sweep optimizes: a validation column of the history, and whether high or low is better."""

from collections.abc import Iterator

from cnnkit.config.callback_check import log_columns
from cnnkit.data.binding import BoundConfig
from cnnkit.errors import Fault, did_you_mean, format_value
from cnnkit.metrics import VALIDATION_PREFIX, Metric, custom_names, find

_PATH = ("sweep", "objective")


def objective_of(bound: BoundConfig) -> Metric:
    """The objective of a config that has a sweep, without `objective_faults`."""
    sweep = bound.config.sweep
    assert sweep is not None
    return find(sweep.objective, custom_names([entry.written for entry in bound.config.train.metrics or []]))


def objective_faults(bound: BoundConfig) -> Iterator[Fault]:
    """Faults of an objective that is no validation column of the history, and of missing validation examples of their own."""
    sweep, data = bound.config.sweep, bound.config.data
    assert sweep is not None
    columns = list(dict.fromkeys(column for encoding, _ in bound.encodings.values() for column in log_columns(encoding.metrics)))
    known = [f"{VALIDATION_PREFIX}{column}" for column in columns]
    if data.validation == "test":
        message = "a sweep chooses by the validation examples, and these are the test examples, which would then measure nothing new"
        yield Fault(("data", "validation"), message, "Hold out a share of the training examples: `data: {validation: 0.1}`.")
    elif data.validation == 0 and data.source != "folder" and data.split is None:
        message = "a sweep chooses by the validation examples, and there are none"
        yield Fault(("data", "validation"), message, "Hold out a share of the training examples: `data: {validation: 0.1}`.")
    if sweep.objective in known:
        return
    if sweep.objective in columns:
        message = f"'{sweep.objective}' is measured on the training examples, where every network can learn by heart"
        yield Fault(_PATH, message, f"Write `{VALIDATION_PREFIX}{sweep.objective}`.")
    elif sweep.objective.startswith("test"):
        message = f"{format_value(sweep.objective)} would choose by the test examples, which then measure nothing new"
        yield Fault(_PATH, message, f"Choose by the validation examples: {', '.join(known)}. The winner is measured on the test examples.")
    else:
        meant = did_you_mean(sweep.objective, known)
        remedy = "" if meant else f"There are: {', '.join(known)}."
        yield Fault(_PATH, f"{format_value(sweep.objective)} is no validation column of the history.{meant}", remedy)
