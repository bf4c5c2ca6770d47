"""The report of a sweep as one HTML page: trials, the best so far, parallel coordinates, importances, and the winner."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from cnnkit.experiments.sweep.results import SweepResults, collect_results
from cnnkit.experiments.sweep.run import OpenSweep
from cnnkit.experiments.sweep.status import SweepStatus, TrialRow, value_text
from cnnkit.experiments.sweep.winner import Winner, read_winner
from cnnkit.io.atomic import write_text
from cnnkit.report.page import render_template
from cnnkit.report.plots import sweep_plots

TEMPLATE = "sweep.html.j2"


@dataclass(frozen=True)
class SweepPage:
    """The content of a sweep's page.

    Attributes:
        status: Where the sweep stands, with at least one finished trial.
        best: Its best trial.
        rows: The trials, the best first, then those that did not finish.
        names: Parameter -> its label.
        importances: Parameter -> share in the differences between trials, the largest first.
        progress: Plot of the best value so far.
        parallel: Plot of parallel coordinates.
        sampler: The config's sampler and pruner.
        winner: The winner with fresh seeds; None where it was not retrained.
        config: The winner's config as YAML.
    """

    status: SweepStatus
    best: TrialRow
    rows: tuple[TrialRow, ...]
    names: Mapping[str, str]
    importances: Mapping[str, float]
    progress: Markup
    parallel: Markup
    sampler: tuple[str, str]
    winner: Winner | None
    config: str


def write_sweep_report(sweep: OpenSweep, output: Path | None = None) -> SweepResults:
    """Collect the results of a sweep and write its page; without a finished trial there is none.

    Args:
        sweep: The sweep.
        output: The file; `report.html` in the sweep's folder where None.

    Raises:
        CnnkitError: The storage failed, or a file cannot be written.
    """
    results = collect_results(sweep)
    best = results.status.best
    if best is None:
        return results
    target = output if output is not None else sweep.folder.report
    write_text(target, render_template(TEMPLATE, page=_page(sweep, results, best), value_text=value_text))
    return replace(results, written=(*results.written, target))


def _page(sweep: OpenSweep, results: SweepResults, best: TrialRow) -> SweepPage:
    status, plan = results.status, sweep.study.plan
    progress, parallel = sweep_plots(status, status.names)
    finished = sorted(status.finished, key=lambda row: status.objective.sort_key(row.value))
    return SweepPage(
        status=status,
        best=best,
        rows=(*finished, *(row for row in status.rows if row.state != "finished")),
        names=status.names,
        importances=dict(sorted(results.importances.items(), key=lambda pair: -pair[1])),
        progress=progress,
        parallel=parallel,
        sampler=(plan.sweep.sampler.name, plan.sweep.pruner.name),
        winner=read_winner(sweep),
        config=plan.space.config_of(best.values).as_yaml(),
    )
