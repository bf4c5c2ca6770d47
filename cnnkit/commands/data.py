"""`cnnkit init`, `cnnkit data check` and `cnnkit data show`: data looked at before training."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.options import AsJson, Configs, Set, import_tensorflow, load_config
from cnnkit.console.data import print_data_report
from cnnkit.console.progress import counting
from cnnkit.console.text import print_json, print_line, print_notice


def init(
    path: Annotated[Path, typer.Argument(help="A folder of images, a CSV, an npz or an npy file.", metavar="PATH")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The config to write; NAME.yaml where left out.", metavar="FILE")
    ] = None,
    transfer: Annotated[bool, typer.Option("--transfer", help="Begin with a pretrained base.")] = False,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What to predict: a CSV column (or several) or an npz array.", metavar="NAME")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="The column or array of groups that are never divided.", metavar="NAME")
    ] = None,
) -> None:
    """Look at your data and write a config that trains at once."""
    from cnnkit.experiments.starter_config import write_init

    named = {"target": target[0] if target and len(target) == 1 else target, "group": group}
    written, look = write_init(path, output, transfer=transfer, overrides={key: value for key, value in named.items() if value})
    print_line(f"{look.count:,} examples of {look.spec.input_shape}, {look.spec.task.kind}: {', '.join(look.spec.task.names[:12])}")
    print_line(f"Wrote {written}. Train it: cnnkit train {written}")


def data_check(
    configs: Configs,
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="Write the list of bad files, for data.exclude.", metavar="LIST")
    ] = None,
    as_json: AsJson = False,
    overrides: Set = None,
) -> None:
    """Look at every example: damaged files, duplicates, leaks, imbalance. Exit status 1 when something would spoil training."""
    import tempfile

    from cnnkit.data.source import Request
    from cnnkit.io.atomic import write_text

    loaded = load_config(configs, overrides)
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch, counting("files") as on_progress:
        report = loaded.source.check(Request(loaded.config.seed, Path(scratch), {}, on_progress))
    if as_json:
        print_json(report.as_dict())
    else:
        print_data_report(report, loaded.source.spec.name)
    if quarantine is not None:
        write_text(quarantine, "".join(f"{bad.name}\t# {bad.reason}\n" for bad in report.bad))
        print_notice(f"Wrote {quarantine} with {len(report.bad)} files. Leave them out with `data: {{exclude: {quarantine}}}`.")
    raise typer.Exit(1 if report.errors else 0)


def data_show(
    configs: Configs,
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture to write.", metavar="PNG")] = Path("examples.png"),
    count: Annotated[int, typer.Option("--count", help="How many examples.", min=1, max=64)] = 16,
    overrides: Set = None,
) -> None:
    """Draw training examples as the network gets them, without and with augmentation."""
    loaded = load_config(configs, overrides)
    import_tensorflow()
    import tempfile

    from cnnkit.plots.contact_sheet import draw_contact_sheet

    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        draw_contact_sheet(loaded, output, count, Path(scratch))
    print_line(f"Wrote {output}.")
