"""Results as plain values: what a command prints with `--json`, for a notebook."""

import json
from typing import Any

from cnnkit.io.atomic import without_nan


def plain(result: Any) -> Any:
    """A result as dictionaries, lists, texts, numbers, booleans and None; NaN is None, as in the files of a run."""
    return json.loads(json.dumps(without_nan(result)))
