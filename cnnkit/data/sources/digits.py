"""`digits`: 1,797 real handwritten digits of 8x8 pixels, which come with scikit-learn and need no network."""

import numpy as np

from cnnkit.data.sources.dataset_arrays import DatasetArrays

TEST_EXAMPLES = 360
TRAIN_EXAMPLES = 1437


def load(*, target: str | None, seed: int) -> DatasetArrays:
    """The digits (Alpaydin and Kaynak 1998, UCI repository) as images `(n, 8, 8, 1)` uint8 in 0..255.

    The test set is stratified and independent of the seed, so that metrics of different runs can be compared.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    del target, seed  # there is one target, and the split is fixed
    bunch = load_digits()
    inputs = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]  # the original values are 0 to 16
    labels = bunch.target.astype(np.int32)
    train, test = train_test_split(np.arange(len(labels)), test_size=TEST_EXAMPLES, stratify=labels, random_state=0)
    return DatasetArrays(inputs[train], labels[train], inputs[test], labels[test])
