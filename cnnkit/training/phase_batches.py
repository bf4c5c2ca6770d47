"""What a phase is trained on: the whole model on raw inputs, or its head on features of a frozen base, computed once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnkit.data.augmentation import BatchPreparation
from cnnkit.data.examples import Examples
from cnnkit.data.pipeline import BatchSource, evaluation_batch
from cnnkit.training.agreement import Decision, agree
from cnnkit.training.features import Augment, FrozenFeatures, PassSource, compute_features, split_model
from cnnkit.training.fit import Listener
from cnnkit.training.prepare import Prepared

if TYPE_CHECKING:
    import keras


class StoppedError(Exception):
    """Training was asked to stop while features were being computed."""


@dataclass(frozen=True)
class PhaseBatches:
    """The model that a phase trains and its batches: the whole model on raw inputs, or its head on precomputed features."""

    model: "keras.Model"
    train: BatchSource
    validation: BatchSource | None
    preparation: BatchPreparation


def phase_batches(prepared: Prepared, listener: Listener, should_stop: Callable[[], bool]) -> PhaseBatches:
    """The model and batches of the phase for which layers have been frozen and unfrozen.

    Args:
        prepared: The run.
        listener: Receives progress where features of a frozen base are computed.
        should_stop: Called after each batch of features.

    Raises:
        StoppedError: `should_stop` returned True, on this or another worker.
    """
    data, dataset, preparation = prepared.loaded.config.data, prepared.dataset, prepared.preparation
    validation = dataset.validation
    parts = split_model(prepared.network.model)
    if parts is None:
        validation_batches = BatchSource(validation, evaluation_batch(validation)) if validation is not None else None
        return PhaseBatches(prepared.network.model, prepared.train, validation_batches, preparation)
    passes = (data.augment_passes or 0) if data.augment else 1  # 0: fresh augmentation each epoch, so nothing can be precomputed
    total = len(dataset.train) * passes + (len(validation) if validation is not None else 0)
    done = 0
    frozen = FrozenFeatures(parts.features)

    def on_progress(count: int) -> None:
        listener.on_features(done + count, total)
        if agree(prepared.workers.devices, Decision(should_stop())).stop:
            raise StoppedError

    def features_of(examples: Examples, augment: Augment | None = None) -> Examples:
        nonlocal done
        result = compute_features(frozen, examples, prepared.directory.cache, on_progress, augment, prepared.workers.devices)
        done += len(examples)
        return result

    def augmented(number: int) -> Augment:
        """The augmentation of a pass, from 0, as of an epoch."""
        return lambda inputs, targets, rows, epochs: preparation(inputs, targets, rows, epochs + number)

    train = [features_of(dataset.train, augmented(number) if data.augment else None) for number in range(passes)]
    validation_batches = BatchSource(features_of(validation), 1024) if validation is not None else None
    if not passes:
        return PhaseBatches(parts.head, prepared.train, validation_batches, preparation.with_frozen_base(parts.features))
    balanced = data.sampling == "balanced"
    return PhaseBatches(parts.head, PassSource(train, data.batch_size, balanced=balanced), validation_batches, preparation.for_features())
