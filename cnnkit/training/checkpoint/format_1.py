"""Migration of checkpoints in the older format `cnnkit-checkpoint-1` to the current state and array names.

Format 1 stored the phase that had ended (-1 for none) with `phase_ended`; named the random states of augmentation
`augment`, and those at the start of the phase `start`; and stored every plain attribute of a callback.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from cnnkit.training.checkpoint.callbacks import VALUES, WEIGHTS, CallbackState
from cnnkit.training.checkpoint.state import BestEpoch, DataIdentity, RunIdentity, TrainingState

Array = npt.NDArray[Any]

FORMAT_1 = "cnnkit-checkpoint-1"

_GROUPS = {"augment": "augmentation", "start": "augmentation_at_phase_start"}


class _Callback(BaseModel):
    model_config = ConfigDict(strict=True)

    class_: str = Field(alias="class")
    values: dict[str, Any]

    def migrated(self) -> CallbackState:
        """The state in the current format, without attributes that are not in `VALUES`."""
        allowed = VALUES.get(self.class_, {})
        weights = self.values.get(WEIGHTS.get(self.class_, ""))
        return CallbackState(
            name=self.class_,
            values={name: value for name, value in self.values.items() if name in allowed},
            weights=weights.get("arrays") if isinstance(weights, dict) else None,
        )


class _State(BaseModel):
    model_config = ConfigDict(strict=True)

    config: dict[str, Any]
    data: DataIdentity
    base: str | dict[str, Any] | None
    notices: list[str]
    phase: int
    phase_ended: bool
    phase_begun: int
    epoch: int
    step: int
    open_seconds: float
    stopped: bool
    history: list[dict[str, int | float]]
    seconds: float
    feature_seconds: float
    best: BestEpoch
    halvings: int
    callbacks: list[_Callback]


def migrated_state(stored: Any) -> TrainingState:
    """The training state of a format 1 checkpoint.

    Raises:
        ValueError: It is invalid (pydantic's ValidationError included).
    """
    old = _State.model_validate(stored)
    if old.epoch != len(old.history):
        raise ValueError("the history has not a row an epoch")
    return TrainingState(
        run=RunIdentity(config=old.config, data=old.data, base=old.base, notices=old.notices),
        phase=old.phase + old.phase_ended,
        phase_started=not old.phase_ended,
        epochs_before_phase=old.phase_begun,
        step=old.step,
        epoch_seconds=old.open_seconds,
        stopped=old.stopped,
        history=old.history,
        seconds=old.seconds,
        feature_seconds=old.feature_seconds,
        best=old.best,
        halvings=old.halvings,
        callbacks=[callback.migrated() for callback in old.callbacks],
    )


def migrated_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a format 1 checkpoint, by their current names."""
    return {_migrated_name(name): array for name, array in arrays.items()}


def _migrated_name(name: str) -> str:
    group, _, rest = name.partition(".")
    if group == "callback":  # callback.NUMBER.best_weights.PLACE
        return f"callback.{rest.replace('.best_weights.', '.')}"
    return f"{_GROUPS.get(group, group)}.{rest}"
