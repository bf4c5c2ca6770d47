"""What `cnnkit init` found, measured and wrote."""

from typing import TYPE_CHECKING

from cnnkit.console.text import print_line, print_notice

if TYPE_CHECKING:
    from cnnkit.experiments.starter.write import Starter

MOST_NAMES = 12  # of classes or targets that are listed


def print_starter(starter: "Starter") -> None:
    """Print a line on the data, what was measured, advice as notices, and the command that trains."""
    summary = starter.summary
    names = ", ".join(summary.spec.task.names[:MOST_NAMES]) + (", …" if len(summary.spec.task.names) > MOST_NAMES else "")
    print_line(f"{summary.count:,} examples of {starter.input_shape}, {summary.spec.task.kind}: {names}")
    if summary.found_group:
        print_line(f"Groups: {summary.found_group}, found by its name; no group is divided between the splits.")
    if summary.skewed:
        print_line("The targets are positive and skewed: their logarithm is learned, and predictions are in the targets' unit.")
    for line in starter.measured:
        print_line(line)
    for text in (summary.spec.interpretation, *starter.advice):
        if text:
            print_notice(text)
    print_line(f"Wrote {starter.path}. Train it: cnnkit train {starter.path}")
