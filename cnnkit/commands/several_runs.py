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
    if (name := _first(given)) is not None:
        raise typer.BadParameter(f"trains several runs; {trains_one}", param_hint=name)


def refuse_several_runs_on_workers(**given: object) -> None:
    """Refuse it in a process that `TF_CONFIG` or Slurm makes one of several workers.

    Args:
        given: Option or command -> value, as for `refuse_several_runs`.

    Raises:
        CnnkitError: One of them is given, or the environment is not valid.
    """
    from cnnkit.training.distribution.cluster import require_one_process

    if (name := _first(given)) is not None:
        require_one_process(name)


def _first(given: Mapping[str, object]) -> str | None:
    """The first option or command that is given, as it is written; None where there is none."""
    for name in (*OPTIONS, *COMMANDS):
        if given.get(name):
            return name if name in COMMANDS else f"--{name.replace('_', '-')}"
    return None
