"""`cnnkit serve`: a model over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from cnnkit.commands.completion import complete_run
from cnnkit.console.serve import print_exporting, print_serving, print_stopped


def serve(
    what: Annotated[
        Path | None,
        typer.Argument(
            help="A run, or a model file of any format; the newest run where left out.", metavar="[RUN|MODEL]", autocompletion=complete_run
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 for any free one.", min=0, max=65535)] = 8000,
    max_batch: Annotated[int, typer.Option("--max-batch", help="Examples that the model gets at a time.", min=1, max=4096)] = 32,
    max_wait_ms: Annotated[
        float, typer.Option("--max-wait-ms", help="Time that a batch waits for more examples.", min=0.0, max=10_000.0)
    ] = 2.0,
    queue: Annotated[int, typer.Option("--queue", help="Examples that may wait; beyond, the answer is 503.", min=1)] = 256,
    max_upload_mb: Annotated[float, typer.Option("--max-upload-mb", help="Size of the largest request.", min=0.001)] = 10.0,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to send a request, and again to answer it.", min=0.1)] = 30.0,
    threads: Annotated[int, typer.Option("--threads", help="Threads for the model; 0 for all processors.", min=0)] = 0,
    name: Annotated[str, typer.Option("--name", help="The model's name in URLs; that of the run or file where left out.")] = "",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="File with the bearer token that requests have to bring; or set CNNKIT_TOKEN.", metavar="FILE"),
    ] = None,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps/--no-heatmaps", help="Load a run's Keras model when the first heatmap is asked for.")
    ] = True,
) -> None:
    """Serve a model over HTTP, with a page to drop pictures on.

    Stop it with Ctrl-C or SIGTERM: requests under way are answered first.
    """
    from cnnkit.serving.extra import require_extra

    require_extra()
    from cnnkit.serving.app import ServingApp
    from cnnkit.serving.limits import Limits
    from cnnkit.serving.server import Server, exit_on_sigterm, listening_socket
    from cnnkit.serving.source import choose
    from cnnkit.serving.token import read_token

    token = read_token(token_file)
    limits = Limits(max_batch, max_wait_ms / 1000, queue, round(max_upload_mb * 2**20), timeout)
    exit_on_sigterm()  # until the server takes it
    with listening_socket(host, port) as listener:
        chosen = choose(what, name=name, threads=threads, heatmaps=heatmaps, on_export=print_exporting)
        app = ServingApp(chosen.served, limits, token)
        app.service.warm_up()
        print_serving(app.service, chosen, listener.getsockname(), has_token=bool(token))
        Server(app).run(sockets=[listener])
    print_stopped(app.metrics.accepted, app.metrics.answered)
