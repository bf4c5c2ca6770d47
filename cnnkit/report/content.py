"""The content of a report's page."""

from dataclasses import dataclass, field

from markupsafe import Markup

from cnnkit.config.task import Task
from cnnkit.model.summary.summarize import Summary
from cnnkit.report.examples import Choice, Group
from cnnkit.report.metrics import PageMetrics
from cnnkit.report.pictures import Picture, Signal
from cnnkit.robustness.results import Probe
from cnnkit.runs.listing import ListedRun


@dataclass(frozen=True)
class DrawnExample:
    """A chosen example with its picture or signal."""

    choice: Choice
    example: Picture | Signal


@dataclass(frozen=True)
class ExampleGroup:
    """A group of examples, as the page shows them."""

    group: Group
    examples: tuple[DrawnExample, ...]


@dataclass
class Report:
    """The content of the page.

    Attributes:
        run: The run, as `cnnkit runs` lists it.
        task: What it predicts; None where that is not known.
        notices: Warnings to show above the results.
        missing: Section -> why it is empty.
        config: The resolved config's text.
        phases: Of a run in phases, a row each: what trained, and for how many epochs.
        environment: Names and values.
        network: The network, row by row.
        curves: Plots of the history.
        metrics: The metrics; None where they are not known.
        quality: Plots of predictions: reliability, or predicted against true.
        groups: Examples.
        heatmap_layer: The layer that heatmaps were computed from; empty where there are none.
        probe: Metrics on corrupted examples.
        probe_plots: The probe's curves as plots.
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
    metrics: PageMetrics | None = None
    quality: list[Markup] = field(default_factory=list)
    groups: list[ExampleGroup] = field(default_factory=list)
    heatmap_layer: str = ""
    probe: Probe | None = None
    probe_plots: list[Markup] = field(default_factory=list)
