"""Data classes with the content of a report, for the template."""

from dataclasses import dataclass, field

from markupsafe import Markup

from cnnkit.artifacts.model_metadata import SavedEpoch
from cnnkit.config.task import Task
from cnnkit.model.summary.summarize import Summary
from cnnkit.report.examples import Choice, Group
from cnnkit.report.metrics import PageMetrics
from cnnkit.report.pictures import Picture, Signal
from cnnkit.robustness.results import Probe
from cnnkit.runs.listing import ListedRun


@dataclass(frozen=True)
class DrawnExample:
    """A chosen example with its rendered image or signal."""

    choice: Choice
    example: Picture | Signal


@dataclass(frozen=True)
class ExampleGroup:
    """A group of rendered examples."""

    group: Group
    examples: tuple[DrawnExample, ...]


@dataclass
class Report:
    """The content of a report.

    Attributes:
        run: The run, as `cnnkit runs` lists it.
        task: Kind and names of the model's outputs; None where unknown.
        epoch: The epoch whose weights the model has; None where unknown.
        notices: Warnings to show above the results.
        missing: Section -> reason why it is empty.
        config: The resolved config's text.
        phases: `train` setting and epochs of each phase; empty for a run without phases.
        environment: Names and values of `environment.json`.
        network: The summary of the network.
        curves: Plots of the history.
        metrics: The metrics; None where unknown.
        tta_metrics: The metrics with each test-time augmentation that the run was evaluated with.
        quality: Plots of predictions: reliability diagram, or predicted against true values.
        groups: Groups of examples.
        heatmap_layer: The layer that heatmaps were computed from; empty where there are none.
        probe: Metrics on corrupted examples.
        probe_plots: Plots of the probe's curves.
    """

    run: ListedRun
    task: Task | None = None
    epoch: SavedEpoch | None = None
    notices: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    config: str = ""
    phases: list[tuple[str, int]] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)
    network: Summary | None = None
    curves: list[Markup] = field(default_factory=list)
    metrics: PageMetrics | None = None
    tta_metrics: list[PageMetrics] = field(default_factory=list)
    quality: list[Markup] = field(default_factory=list)
    groups: list[ExampleGroup] = field(default_factory=list)
    heatmap_layer: str = ""
    probe: Probe | None = None
    probe_plots: list[Markup] = field(default_factory=list)
