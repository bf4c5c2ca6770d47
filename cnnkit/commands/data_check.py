"""`cnnkit data check`: check the data before training."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import AsJson, Configs, Set, load_config
from cnnkit.console.data import print_data_report
from cnnkit.console.progress import counting
from cnnkit.console.text import print_json, print_notice


def data_check(
    configs: Configs,
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="Write the list of bad files, for data.exclude.", metavar="LIST")
    ] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Check every example: damaged files, duplicates, leaks.

    Also imbalance, and files of another format than their extension. Exit status 1 when there are errors.
    """
    import tempfile

    from cnnkit.data.source import Request
    from cnnkit.io.atomic import write_text

    loaded = load_config(configs, overrides)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch, counting("files") as on_progress:
        report = loaded.source.check(Request(loaded.config.data_seed, Path(scratch), (), on_progress))
    if as_json:
        print_json(report.as_dict())
    else:
        print_data_report(report, loaded.source.spec.name)
        if loaded.spec.interpretation:
            print_notice(loaded.spec.interpretation)
    if quarantine is not None:
        write_text(quarantine, "".join(f"{bad.name}\t# {bad.reason}\n" for bad in report.bad))
        print_notice(f"Wrote {quarantine} with {len(report.bad)} files. Leave them out with `data: {{exclude: {quarantine}}}`.")
    raise typer.Exit(1 if report.errors else 0)
