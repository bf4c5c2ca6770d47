"""Whether a column of targets holds classes, labels or numbers: one rule for CSV, npz and npy.

Texts are classes. Whole numbers (integer arrays, cells without a decimal point) are classes where they are few, at most 20
different ones, or where they number classes as datasets do: from 0 without a gap, each more than once. All other numbers
are numbers to predict. Several columns that hold only 0 and 1 are labels, other ones numbers.

Why so: 0 to 9 and 0 to 99 are nearly always classes, and so are a few codes such as 1 to 5 or -1 and 1; ages, counts and
temperatures have many values and gaps, and what is written with decimals was measured. `data.task` overrides the rule,
and what could have been meant otherwise is told.
"""

import numpy as np
import numpy.typing as npt

from cnnkit.config.task import Kind
from cnnkit.errors import escape_unprintable

Array = npt.NDArray[np.generic]

MOST_CODES = 20  # different whole numbers that are classes whatever they are
MOST_CLASSES = 1000  # classes that numbers from 0 may count


def kind_of_column(name: str, values: Array | None, *, whole: bool, named: bool, wished: Kind | None) -> tuple[Kind, str]:
    """The kind of one column of targets, and what the user has to be told of the choice.

    Args:
        name: The column or array.
        values: Its finite numbers `(n,)`; None where it holds texts.
        whole: Whether all of them are written as whole numbers.
        named: Whether names for classes are given.
        wished: `data.task`; None where the rule decides.

    Returns:
        The kind; a sentence, empty where nothing else could have been meant.
    """
    if wished is not None:
        return wished, ""
    if values is None or named:
        return "classification", ""
    different, counts = np.unique(values, return_counts=True)
    if not whole:
        return "regression", ""
    few = len(different) <= MOST_CODES
    numbered = len(different) <= MOST_CLASSES and bool((different == np.arange(len(different))).all()) and int(counts.min()) > 1
    what = f"'{escape_unprintable(name)}' holds whole numbers, {len(different):,} different ones from {different[0]} to {different[-1]}"
    if few or numbered:
        return "classification", f"{what}, which are taken for classes; for numbers to predict write `data: {{task: regression}}`."
    return "regression", f"{what}, which are taken for numbers to predict; for classes write `data: {{task: classification}}`."


def kind_of_columns(values: Array, wished: Kind | None) -> Kind:
    """The kind of several columns of targets `(n, columns)`."""
    if wished is not None and wished != "classification":
        return wished
    return "multilabel" if bool(np.isin(values, (0, 1)).all()) else "regression"
