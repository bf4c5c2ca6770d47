"""The results of a sweep: where it stands, the importance of each parameter, and the files that show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnkit.experiments.sweep.run import OpenSweep
from cnnkit.experiments.sweep.status import SweepStatus, status_of
from cnnkit.plots.sweep import plot_progress


@dataclass(frozen=True)
class SweepResults:
    """The results of a sweep.

    Attributes:
        status: Where it stands.
        importances: Parameter -> share in the differences between the finished trials; empty with too few of them.
        written: The files that show them.
    """

    status: SweepStatus
    importances: Mapping[str, float]
    written: tuple[Path, ...] = ()


def collect_results(sweep: OpenSweep) -> SweepResults:
    """Collect the results of a sweep, and plot the best value so far.

    Raises:
        CnnkitError: The storage failed, or the plot cannot be written.
    """
    status = status_of(sweep.study)
    if not status.finished:
        return SweepResults(status, {})
    plot_progress([(row.number, row.value) for row in status.finished], status.objective, sweep.folder.progress, status.name)
    return SweepResults(status, sweep.study.importances(), (sweep.folder.progress,))
