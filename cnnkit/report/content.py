"""All that stands in a report's page."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from cnnkit.config.task import Task
from cnnkit.model.summary.summarize import Summary
from cnnkit.report.examples import Choice, Group
from cnnkit.report.figures import Metrics
from cnnkit.report.pictures import Picture, Signal
from cnnkit.robustness.results import Probe
from cnnkit.runs.listing import ListedRun

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Shown:
    """An example with what was said of it."""

    choice: Choice
    example: Picture | Signal


@dataclass(frozen=True)
class ShownGroup:
    """Examples that have something in common, as the page shows them."""

    group: Group
    examples: tuple[Shown, ...]


@dataclass
class Report:
    """All that stands in the page.

    Attributes:
        run: What the run tells of itself.
        task: What it predicts; None where that is not known.
        notices: What a reader must know of the figures.
        missing: Section -> why there is nothing in it.
        config: The resolved config's text.
        phases: Of a run in phases, a row each: what trained, and for how many epochs.
        environment: Names and values.
        network: The network, row by row.
        curves: Plots of the history.
        figures: The figures.
        quality: Plots of predictions: reliability, or predicted against true.
        groups: Examples.
        heat_layer: The layer that heat maps were made of; empty where there are none.
        probe: What the run withstands.
        probe_plots: The same as plots.
    """

    run: ListedRun
    task: Task | None = None
    notices: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    config: str = ""
    phases: list[tuple[str, int]] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)
    network: Summary | None = None
    curves: list[Markup] = field(default_factory=list)
    figures: Metrics | None = None
    quality: list[Markup] = field(default_factory=list)
    groups: list[ShownGroup] = field(default_factory=list)
    heat_layer: str = ""
    probe: Probe | None = None
    probe_plots: list[Markup] = field(default_factory=list)
