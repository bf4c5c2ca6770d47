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
    except SystemExit as end:  # of every command that has not failed
        sys.exit(_status_once_written(end.code, end.__context__))
    except CnnkitError as error:
        print_error(str(error))
        sys.exit(_status_once_written(error.exit_status))
    except KeyboardInterrupt:
        sys.exit(_status_once_written(INTERRUPTED))
    except Exception as error:  # noqa: BLE001 - a bug of ours keeps its traceback, and gets a status of its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and (fault := _write_fault("\n")) is not None:
            sys.exit(_status_of(fault))
        sys.excepthook(*sys.exc_info())
        sys.exit(_status_once_written(CRASHED))


Status = str | int | None  # as `sys.exit` takes it


def _status_once_written(status: Status, context: BaseException | None = None) -> Status:
    """The exit status of a command, once what is left in the buffer of standard output is written.

    Args:
        status: The status with which it ended; one that failed keeps it, whatever becomes of the rest of its output.
        context: The exception that was handled when it ended: where the reader of its output, such as `head`, has exited, Rich and
            Typer end it with status 1.
    """
    fault = _write_fault()
    if fault is None and isinstance(context, BrokenPipeError):
        fault = context
    has_failed = status not in (None, 0) and not isinstance(context, BrokenPipeError)
    return status if fault is None or has_failed else _status_of(fault)


def _write_fault(text: str = "") -> OSError | None:
    """Write a text and what is left in the buffer of standard output; why that is impossible, None where it is not."""
    if sys.stdout is None:  # in a process that was started without
        return None
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would try again at its exit, and complain
        return error
    return None


def _status_of(fault: OSError) -> int:
    """The exit status where standard output cannot be written, told unless it is that its reader has exited."""
    if isinstance(fault, BrokenPipeError):
        return BROKEN_PIPE
    print_error(f"standard output cannot be written ({fault.strerror})\n    Redirect it to a disk with room.")
    return USER_ERROR


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False) -> None:
    if version:
        print(__version__)  # noqa: T201 - plain output for programs
        raise typer.Exit
