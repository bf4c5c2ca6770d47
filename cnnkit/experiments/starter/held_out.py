"""Which shares of the data a starter config holds out, and how precise the final metrics on them will be."""

from dataclasses import dataclass

from cnnkit.evaluation.wilson import wilson_interval
from cnnkit.experiments.starter.data_summary import DataSummary

SHARE = 0.15
LEAST_TEST = 200  # examples: with fewer, an accuracy of 0.95 has a 95 % interval of more than 0.06
FEW = 400  # measured examples below which a cross-validation is suggested
FOLDS = 5


@dataclass(frozen=True)
class HeldOut:
    """The shares to hold out, and the numbers of examples that follow.

    Attributes:
        validation: The share for validation; None where the data brings such a split.
        test: The share for the final metrics; None where the data brings such a split, 0 where its validation examples serve.
        train_count: Training examples.
        validation_count: Validation examples.
        test_count: Test examples.
    """

    validation: float | None
    test: float | None
    train_count: int
    validation_count: int
    test_count: int

    @property
    def measured_on(self) -> tuple[str, int]:
        """The split of the final metrics, and its number of examples."""
        return ("test", self.test_count) if self.test_count else ("validation", self.validation_count)


def choose_held_out(summary: DataSummary) -> HeldOut:
    """Hold out what the data does not bring; no test split where it would be small and there are validation examples of its own."""
    own = summary.own_splits
    left = summary.count - sum(own.values())
    small = "validation" in own and SHARE * left < LEAST_TEST
    test = None if "test" in own else 0.0 if small else SHARE
    test_count = own.get("test", round((test or 0) * left))
    left -= 0 if "test" in own else test_count
    validation = None if "validation" in own else SHARE
    validation_count = own.get("validation", round((validation or 0) * left))
    left -= 0 if "validation" in own else validation_count
    return HeldOut(validation, test, left, validation_count, test_count)


def precision_text(held_out: HeldOut, score: float, config: str, most_folds: int = FOLDS) -> str:
    """How wide the interval of the final accuracy will be, and how to narrow it; empty where it is narrow enough.

    Args:
        held_out: The splits.
        score: The expected accuracy, such as that of a linear head.
        config: The config's path, for the command.
        most_folds: The largest number of folds that the data can be divided into.
    """
    split, count = held_out.measured_on
    if not 0 < count < FEW:
        return ""
    around = wilson_interval(score, count)
    text = (
        f"The final metrics are of {count:,} {split} examples: an accuracy of {score:.2f} on so few has a 95 % interval of "
        f"{around.low:.2f} … {around.high:.2f}."
    )
    folds = min(FOLDS, most_folds)
    if folds < 2:
        return text
    every = held_out.train_count + held_out.validation_count + (held_out.test_count if held_out.test is not None else 0)
    return f"{text} `cnnkit train {config} --folds {folds}` measures on {every:,} examples."
