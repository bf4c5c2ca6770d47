"""The result of a probe: a metric over the strengths of each corruption."""

from dataclasses import asdict, dataclass
from typing import Any

from cnnkit.metrics import Metric
from cnnkit.robustness.corruptions import PADDING


@dataclass(frozen=True)
class Curve:
    """A metric over the strength of one corruption.

    Attributes:
        name: The corruption.
        unit: Unit of the strengths.
        strengths: Strengths in ascending order.
        values: The metric at each strength.
        clean: The strength at which inputs are unchanged.
        in_ratios: Whether the strengths are factors.
        area: Mean of the metric over the strengths (trapezoidal rule), divided by the clean value: 1 where it does not change.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    values: tuple[float, ...]
    clean: float
    in_ratios: bool
    area: float


@dataclass(frozen=True)
class Probe:
    """The metric of one run's model on corrupted examples.

    Attributes:
        run: The run's name.
        measured_on: Split and data set of the examples.
        examples: Number of examples.
        metric: Accuracy, label accuracy or MAE.
        clean: The metric on the clean examples.
        curves: A curve for each corruption.
        not_applicable: Corruptions that are not defined for such inputs.
        note: A warning to show beside the results; may be empty.
    """

    run: str
    measured_on: str
    examples: int
    metric: Metric
    clean: float
    curves: tuple[Curve, ...]
    not_applicable: tuple[str, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The result ready for JSON, as `probe.json` holds it."""
        values = asdict(self)
        del values["metric"]
        return {**values, "figure": self.metric.label, "lower_is_better": not self.metric.higher_is_better, "padding": PADDING}
