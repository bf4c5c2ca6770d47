"""What the command line needs before anything is loaded: where runs are, and by what they can be sorted."""

from pathlib import Path
from typing import Literal

RUNS = Path("runs")

# `figure` is the former word for `metric`
SortKey = Literal["when", "name", "data", "metric", "figure", "epochs", "time", "state"]
