"""Which epoch's weights a run saves: decided once from `train.keep`, the metrics, and whether there are validation examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnkit.config.callback_check import log_columns
from cnnkit.config.schema import Config
from cnnkit.errors import Fault, did_you_mean, format_value
from cnnkit.keras_api.checking import Entry
from cnnkit.metrics import LOSS_COLUMN, VALIDATION_PREFIX, Metric, custom_names, find

BEST, LAST = "best", "last"


@dataclass(frozen=True)
class EpochChoice:
    """How epochs are compared, and whether the best of them is saved.

    Attributes:
        metric: The history column by which an epoch is the best, with its direction.
        keeps_best: Whether the weights of the best epoch are saved; else those with which training ends.
    """

    metric: Metric
    keeps_best: bool


def epoch_choice(config: Config, metrics: Sequence[Entry], *, has_validation: bool) -> EpochChoice:
    """The epoch that a run of a valid config saves.

    Where `train.keep` is left out, EarlyStopping with `restore_best_weights` decides for a training of one phase, and for several
    names the column by which the epochs of all phases are compared.

    Args:
        config: The config.
        metrics: Entries of the metrics that the model is compiled with.
        has_validation: Whether there are validation examples.
    """
    train, keep = config.train, config.train.keep
    columns = _columns(metrics)
    column = columns[1] if len(columns) > 1 else columns[0]
    keeps_best = keep != LAST and has_validation
    if keep is None:
        restored = [each.arguments.get("monitor", columns[0]) for each in train.callbacks if _restores_weights(each)]
        column = restored[0] if restored and restored[0] in columns else column
        is_one_phase = train.phases is None or len(train.phases) == 1
        keeps_best = keeps_best and config.data.validation != "test" and not (restored and is_one_phase)
    elif keep not in (BEST, LAST):
        column = keep
    return EpochChoice(find(column, custom_names([entry.written for entry in metrics])), keeps_best)


def check_keep(config: Config, metrics: Sequence[Entry], *, has_validation: bool) -> Iterator[Fault]:
    """Faults of `train.keep`: another word, a column that the history will not have, or no examples to choose an epoch by.

    Args:
        config: A config whose sections are each valid.
        metrics: Entries of the metrics that the model is compiled with.
        has_validation: Whether there are validation examples, or may be.
    """
    keep, path = config.train.keep, ("train", "keep")
    known = (BEST, LAST, *_columns(metrics))
    if keep is None or keep == LAST:
        return
    if keep not in known:
        meant = did_you_mean(keep, known)
        listed = ", ".join(known[2:])
        remedy = "" if meant else f"The columns are: {listed}."
        yield Fault(path, f"wants `best`, `last` or a validation column of the history, got {format_value(keep)}.{meant}", remedy)
    elif not has_validation:
        remedy = "Hold out a share of the training examples: `data: {validation: 0.1}`; or write `keep: last`."
        yield Fault(path, "there are no validation examples by which an epoch could be the best", remedy)
    elif config.data.validation == "test":
        remedy = "Hold out a share of the training examples: `data: {validation: 0.1}`; or write `keep: last`."
        yield Fault(path, "would choose the epoch by the test examples (data.validation: test), and so bias the test metrics", remedy)


def _columns(metrics: Sequence[Entry]) -> list[str]:
    """The columns of a history that are measured on the validation examples, `val_loss` first."""
    columns = [f"{VALIDATION_PREFIX}{column}" for column in log_columns(metrics)]
    assert columns[0] == f"{VALIDATION_PREFIX}{LOSS_COLUMN}"
    return columns


def _restores_weights(callback: Entry) -> bool:
    return callback.name == "EarlyStopping" and callback.arguments.get("restore_best_weights") is True
