"""Pictures of a page: saved small, and compared with what a command makes now."""

from pathlib import Path

import numpy as np
from PIL import Image

WIDEST = 1100  # pixels of a committed picture
COLORS = 96
COARSE = (24, 16)  # pictures are compared at this size, where fonts and antialiasing make no difference


def save_small(made: Path, shown: Path) -> None:
    """Write a copy with few colors, narrow enough for a page."""
    with Image.open(made) as picture:
        small = picture.convert("RGB")
    small.thumbnail((WIDEST, 4 * WIDEST))
    shown.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(COLORS).save(shown, optimize=True)


def picture_difference(made: Path, shown: Path) -> str:
    """Why two pictures are not of the same thing: other proportions, or other content; empty where they are."""
    arrays = []
    with Image.open(made) as new, Image.open(shown) as old:
        if abs(new.width / new.height - old.width / old.height) > 0.02:
            return f"{shown}: {old.size}, but the page makes {new.size}"
        arrays = [np.asarray(each.convert("RGB").resize(COARSE, Image.Resampling.BOX), float) for each in (new, old)]
    likeness = float(np.corrcoef(arrays[0].ravel(), arrays[1].ravel())[0, 1])
    return "" if likeness > 0.8 else f"{shown}: the page makes another picture now (correlation {likeness:.2f})"
