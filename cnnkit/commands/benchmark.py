"""`cnnkit benchmark`: the formats that a model can be exported to, side by side."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.commands.options import AsJson


def benchmark(
    what: Annotated[
        Path | None,
        typer.Argument(help="A run or a .keras file (default: the newest run).", metavar="[RUN|MODEL]", autocompletion=complete_run),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="Only this format, such as keras or onnx. May be repeated.", metavar="FORMAT"),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Threads of each runtime (default: all processors).", min=1)] = None,
    batch: Annotated[int, typer.Option("--batch", help="Images in a batch.", min=1, max=4096)] = 64,
    rounds: Annotated[int, typer.Option("--rounds", help="Processes for each format, in turns.", min=1, max=100)] = 3,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each is measured in a round.", min=0.0, max=60.0)] = 1.0,
    config: Annotated[
        Path | None, typer.Option("--config", help="The config that names the data, for a .keras file outside a run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model in every format side by side.

    It is exported to a temporary folder in each format and quantization, and measured in processes of its own.
    """
    from cnnkit.artifacts.formats import FORMATS, KERAS, format_named
    from cnnkit.console.benchmark import print_benchmark
    from cnnkit.console.progress import counting
    from cnnkit.console.text import print_json, print_line
    from cnnkit.export.benchmark import benchmark_run

    names = dict.fromkeys(name for each in formats or [] for name in each.split(",") if name)
    chosen = [FORMATS[name] if name == KERAS.name else format_named(name) for name in names]
    with counting("formats", "measuring") as on_progress:
        result = benchmark_run(
            what, chosen, config=config, threads=threads or 0, batch=batch, rounds=rounds, seconds=seconds, on_progress=on_progress
        )
    if as_json:
        print_json(result.as_dict())
        return
    print_benchmark(result)
    if result.folder is not None:
        print_line(f"Plot: {result.folder / 'benchmark.png'}")
