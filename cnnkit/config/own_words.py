"""Faults of words of cnnkit's own among Keras's layers, such as the block `repeat`: misspelt, or in the wrong section."""

from cnnkit.config.schema import OWN_WORDS
from cnnkit.errors import Fault, Path, did_you_mean, format_value

_SINGULAR = {"blocks": "block", "augmentations": "augmentation"}  # kinds of cnnkit's own words
_PLACES = {"blocks": "write it in `model.layers`", "augmentations": "write it in `data.augment`"}


def misplaced_word(kind: str, name: str, value: object, path: Path) -> Fault | None:
    """The fault of a lower-case word: nearest to one of cnnkit's own, or one of another section. Keras's layers begin in upper case.

    Args:
        kind: The words that are accepted, a key of `OWN_WORDS`; empty for none.
        name: The word.
        value: The whole entry.
        path: Its path.

    Returns:
        None for any other word.
    """
    if not kind or not name[:1].islower():
        return None
    on_key = not isinstance(value, str)
    where = (*path, name) if on_key else path
    elsewhere = next((other for other in OWN_WORDS if name in OWN_WORDS[other]), None)
    if elsewhere is not None:
        return Fault(where, f"'{name}' does not go here", f"It is one of cnnkit's {elsewhere}: {_PLACES[elsewhere]}.", on_key=on_key)
    meant = did_you_mean(name, OWN_WORDS[kind])
    return Fault(where, f"unknown {_SINGULAR[kind]} {format_value(name)}.{meant}", on_key=on_key) if meant else None
