"""`cnnkit report`: the page of a run, of a group of seeds or folds, or of a sweep, whichever a folder holds."""

from pathlib import Path

from cnnkit.errors import CnnkitError
from cnnkit.experiments.repeat_summary import summarize_repeats
from cnnkit.experiments.sweep.folder import is_sweep
from cnnkit.experiments.sweep.run import reopen_sweep
from cnnkit.experiments.sweep.storage import StorageAddress, parse_storage
from cnnkit.report.repeats import write_summary_page
from cnnkit.report.run import write_run_report
from cnnkit.report.sweep import write_sweep_report
from cnnkit.runs.group import find_group, finished_runs


def write_report(path: Path | None, output: Path | None = None, storage: str | None = None) -> Path:
    """Write a page about a run, a group or a sweep anew. Of a group, `summary.json` and `summary.png` are written anew, too.

    Args:
        path: The folder, or the name of a run or group in `runs/`; None for the newest run.
        output: The file; where None, the one in the folder that training writes: `report.html`, of a group `summary.html`.
        storage: The database with the trials of a sweep; None for those in its folder.

    Returns:
        The file.

    Raises:
        CnnkitError: There is no such folder; it has no model, too few finished runs or no finished trial; or the file cannot be written.
    """
    if output is not None and not output.parent.is_dir():
        raise CnnkitError(f"{output}: there is no folder {output.parent}", "Make it, or name another --output.")
    if path is not None and (group := find_group(path)) is not None:
        return write_summary_page(summarize_repeats(*group, finished_runs(*group)), output)
    if path is not None and is_sweep(path):
        return _write_sweep(path, output, parse_storage(storage))
    return write_run_report(path, output)


def _write_sweep(path: Path, output: Path | None, address: StorageAddress) -> Path:
    results = write_sweep_report(reopen_sweep(path, address), output)
    if results.status.best is None:
        raise CnnkitError(f"{path}: no trial is finished, so there is nothing to report", "Go on with it: `cnnkit sweep CONFIG`.")
    return results.written[-1]
