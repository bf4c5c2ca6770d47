"""What a probe measured: a curve a corruption."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cnnkit.robustness.corruptions import PADDING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Curve:
    """A figure over the strength of one corruption.

    Attributes:
        name: The corruption.
        unit: Of the strengths.
        strengths: In rising order.
        values: The figure at each of them.
        clean: The strength at which nothing is changed.
        in_ratios: Whether the strengths are factors.
        area: Mean of the figure over all strengths, divided by the clean one: 1 where the corruption does nothing.
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
    """What a run's model withstands.

    Attributes:
        run: The run's name.
        measured_on: Which examples of which data.
        examples: How many.
        figure: What the curves show: accuracy, label accuracy or MAE.
        clean: The figure on undisturbed examples.
        lower_is_better: Whether the figure is an error.
        curves: One for each corruption.
        not_applicable: Disturbances that make no sense for such inputs.
        note: What has to stand wherever the figures appear; may be empty.
    """

    run: str
    measured_on: str
    examples: int
    figure: str
    clean: float
    lower_is_better: bool
    curves: tuple[Curve, ...]
    not_applicable: tuple[str, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The figures ready for JSON."""
        return {**asdict(self), "padding": PADDING}
