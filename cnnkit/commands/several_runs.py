"""Options by which `train` and `transfer` train several runs, refused where several workers train one together."""

from collections.abc import Mapping

import typer

OPTIONS = ("seeds", "folds", "compare_scratch", "fractions")


def refuse_several_runs(given: Mapping[str, object], trains_one: str) -> None:
    """Refuse the options by which several runs are trained.

    Args:
        given: Option -> value; one that is missing, None or False was not given.
        trains_one: Why only one run can be trained, such as `launch trains one`.

    Raises:
        typer.BadParameter: One of them is given.
    """
    for option in OPTIONS:
        if given.get(option):
            raise typer.BadParameter(f"trains several runs; {trains_one}", param_hint=f"--{option.replace('_', '-')}")


def refuse_several_runs_on_workers(**given: object) -> None:
    """Refuse them in a process that `TF_CONFIG` or Slurm makes one of several workers, which would all write the same runs.

    Args:
        given: Option -> value, as for `refuse_several_runs`.

    Raises:
        typer.BadParameter: One of them is given.
        CnnkitError: The environment is not valid.
    """
    from cnnkit.training.distribution.cluster import cluster_of_environment

    if any(given.values()) and (cluster := cluster_of_environment()) is not None:
        refuse_several_runs(given, f"{cluster} train one. Start it as one process, whose --workers train runs at once")
