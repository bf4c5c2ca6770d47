"""What trains several runs, options of `train` and `transfer` and the command `sweep`: refused where several workers train one."""

from collections.abc import Mapping

import typer

OPTIONS = ("seeds", "folds", "compare_scratch", "fractions")
COMMANDS = ("sweep",)


def refuse_several_runs(given: Mapping[str, object], trains_one: str) -> None:
    """Refuse what trains several runs.

    Args:
        given: Option or command -> value; one that is missing, None or False was not given.
        trains_one: Why only one run can be trained, such as `launch trains one`.

    Raises:
        typer.BadParameter: One of them is given.
    """
    for name in (*OPTIONS, *COMMANDS):
        if given.get(name):
            hint = name if name in COMMANDS else f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"trains several runs; {trains_one}", param_hint=hint)


def refuse_several_runs_on_workers(**given: object) -> None:
    """Refuse it in a process that `TF_CONFIG` or Slurm makes one of several workers, which would all write the same runs.

    Args:
        given: Option or command -> value, as for `refuse_several_runs`.

    Raises:
        typer.BadParameter: One of them is given.
        CnnkitError: The environment is not valid.
    """
    from cnnkit.training.distribution.cluster import cluster_of_environment

    if any(given.values()) and (cluster := cluster_of_environment()) is not None:
        refuse_several_runs(given, f"{cluster} train one. Start it as one process, whose --workers train runs at once")
