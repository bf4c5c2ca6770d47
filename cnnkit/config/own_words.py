"""Faults of words of cnnkit's own among Keras's layers, such as the block `repeat`: misspelt, or in the wrong section."""

from cnnkit.config.schema import OWN_WORDS
from cnnkit.errors import Fault, Path, did_you_mean, format_value

_KERAS_WORDS = {  # augmentations by the names of their papers -> how Keras has them
    "cutout": "Keras calls it RandomErasing: `RandomErasing: {factor: [1.0, 1.0], scale: [0.1, 0.1]}` erases a tenth of each image.",
}
_SINGULAR = {"blocks": "block", "augmentations": "augmentation"}  # kinds of cnnkit's own words
_PLACES = {"blocks": "write it in `model.layers`", "augmentations": "write it in `data.augment`"}


def misplaced_word(kind: str, name: str, value: object, path: Path) -> Fault | None:
    """The fault of a word that Keras calls otherwise, or of one of cnnkit's own (in lower case): misspelt, or of another section.

    Args:
        kind: The words that are accepted, a key of `OWN_WORDS`; empty for none.
        name: The word.
        value: The whole entry.
        path: Its path.

    Returns:
        None for any other word.
    """
    on_key = not isinstance(value, str)
    where = (*path, name) if on_key else path
    if kind == "augmentations" and (remedy := _KERAS_WORDS.get(name.lower())):
        return Fault(where, f"unknown augmentation {format_value(name)}.", remedy, on_key=on_key)
    if not kind or not name[:1].islower():
        return None
    elsewhere = next((other for other in OWN_WORDS if name in OWN_WORDS[other]), None)
    if elsewhere is not None:
        return Fault(where, f"'{name}' does not go here", f"It is one of cnnkit's {elsewhere}: {_PLACES[elsewhere]}.", on_key=on_key)
    meant = did_you_mean(name, OWN_WORDS[kind])
    return Fault(where, f"unknown {_SINGULAR[kind]} {format_value(name)}.{meant}", on_key=on_key) if meant else None
