"""The command line: its commands by name, and the one place where a CnnkitError is printed."""

import errno
import io
import os
import sys
from typing import Annotated

import typer

from cnnkit.commands import (
    bases,
    benchmark,
    calibrate,
    check,
    compare,
    configs,
    data_check,
    data_show,
    evaluate,
    explain,
    export,
    init,
    launch,
    predict,
    probe,
    report,
    runs,
    schema,
    serve,
    show,
    summary,
    sweep,
    train,
    transfer,
)
from cnnkit.console.text import print_error
from cnnkit.errors import CnnkitError
from cnnkit.exit_status import BROKEN_PIPE, CRASHED, INTERRUPTED, USER_ERROR
from cnnkit.keras_api import quiet_import
from cnnkit.version import __version__

app = typer.Typer(
    name="cnnkit",
    help="Train convolutional neural networks with Keras from a YAML file.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Check data, or show it, before training on it.", rich_markup_mode=None, no_args_is_help=True)

app.command()(train.train)
app.command()(transfer.transfer)
app.command(context_settings={"allow_interspersed_args": False})(launch.launch)
app.command()(check.check)
app.command()(summary.summary)
app.command()(bases.bases)
app.command()(sweep.sweep)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(predict.predict)
app.command()(runs.runs)
app.command()(calibrate.calibrate)
app.command()(explain.explain)
app.command()(probe.probe)
app.command()(export.export)
app.command()(benchmark.benchmark)
app.command()(show.show)
app.command()(report.report)
app.command()(serve.serve)
app.command()(init.init)
app.add_typer(data_app, name="data")
data_app.command("check")(data_check.data_check)
data_app.command("show")(data_show.data_show)
app.command()(configs.configs)
app.command()(schema.schema)


def main() -> None:
    """Run the command line; errors that the user can fix go to standard error, and each end has its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so that a terminal without UTF-8 can print every name
    quiet_import.install()
    try:
        app()
    except CnnkitError as error:
        print_error(str(error))
        sys.exit(error.exit_status)
    except SystemExit as end:  # of every command, however it ended
        sys.exit(_status_once_written(end))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a bug of ours keeps its traceback, and gets a status of its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            sys.exit(_unwritable_output(error))
        sys.excepthook(*sys.exc_info())
        sys.exit(CRASHED)


def _status_once_written(end: SystemExit) -> "str | int | None":
    """The exit status of a command, once what is left in the buffer of standard output is written.

    Where its reader, such as `head`, has exited, the rest is discarded; Rich and Typer then end a command with status 1.
    """
    fault = end.__context__
    try:
        if sys.stdout is not None:  # it is None in a process that was started without
            sys.stdout.flush()
    except BrokenPipeError as error:
        fault = error
        _discard_output()
    except OSError as error:
        return _unwritable_output(error)
    return BROKEN_PIPE if isinstance(fault, BrokenPipeError) else end.code


def _unwritable_output(error: OSError) -> int:
    """Tell that standard output has no room; the exit status for it. Files of cnnkit that cannot be written raise a CnnkitError."""
    _discard_output()
    print_error(f"standard output cannot be written ({error.strerror})\n    Redirect it to a disk with room.")
    return USER_ERROR


def _discard_output() -> None:
    """Write what is left in the buffer of standard output nowhere: Python would try again at its exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False) -> None:
    if version:
        print(__version__)  # noqa: T201 - plain output for programs
        raise typer.Exit
