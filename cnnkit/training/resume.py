"""Open an interrupted run to resume it: its newest intact checkpoint, and a check that config and data have not changed."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.config.differences import differences
from cnnkit.config.load import ConfigSource, LoadedConfig, load_config, resolved, with_epochs
from cnnkit.config.schema import Config
from cnnkit.config.validate import validate
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.data.binding import BoundConfig, bind
from cnnkit.errors import CnnkitError, format_value
from cnnkit.io.json_file import read_json
from cnnkit.model.optimizer import names_shares
from cnnkit.runs.directory import RunDirectory, read_state, run_of
from cnnkit.runs.intact import is_intact
from cnnkit.runs.lock import RunLock
from cnnkit.training.checkpoint.state import TrainingState
from cnnkit.training.checkpoint.store import Checkpoint, CheckpointStore

UNRELATED_TO_LEARNING = (
    "name",
    "train.checkpoint_every",
    "train.on_nan",
    "train.log",
    "train.devices",
    "train.saved_precision",
    "data.cache",
    "data.cache_memory",
    "sweep",
)  # config keys that do not affect the trained weights


@dataclass(frozen=True)
class Resumed:
    """An interrupted run, opened to be resumed.

    Attributes:
        loaded: Its config, with `--epochs` where given.
        directory: Its folder.
        lock: The lock held on the folder; None for a worker that only reads it.
        checkpoint: The checkpoint to restore.
        forced: Whether to resume although its config or data has changed.
        base_changed: Whether the config now names another pretrained base.
        notices: Notices for the user, such as damaged checkpoints that were skipped.
    """

    loaded: BoundConfig
    directory: RunDirectory
    lock: RunLock | None
    checkpoint: Checkpoint
    forced: bool
    base_changed: bool
    notices: Sequence[str]

    @property
    def stand_in(self) -> bool:
        """Whether the run was started on stand-in data."""
        return bool(self.checkpoint.state.run.data.stand_in_for)

    @property
    def without_weights(self) -> BoundConfig:
        """The config with the base that the run was started with, but without pretrained weights: those come from the checkpoint.

        Raises:
            CnnkitError: The base in the checkpoint cannot be built.
        """
        base = self.checkpoint.state.run.base
        if base is None or self.base_changed:
            return self.loaded
        values = resolved(self.loaded.config)
        config, faults = validate({**values, "model": {**values["model"], "base": base}})
        if config is None:
            reason = "; ".join(fault.message for fault in faults)
            raise CnnkitError(f"{self.directory.path}: the base in its checkpoint cannot be built: {reason}", "Train it anew instead.")
        return replace(self.loaded, config=config)

    @property
    def replicas_before(self) -> int:
        """The number of replicas that the run was trained on before; 1 where it is not known."""
        try:
            return int(read_json(self.directory.environment)["replicas"])
        except (OSError, ValueError, KeyError, TypeError):
            return 1

    @property
    def epochs_done(self) -> int:
        """Complete epochs so far."""
        return self.checkpoint.state.epoch

    @property
    def unusable_files(self) -> Sequence[Path]:
        """Files of the finished run that are missing or damaged."""
        return self.directory.unusable_files(self.loaded.spec.task.kind)

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished and no further epochs are requested."""
        state, config = self.checkpoint.state, self.loaded.config
        done = state.stopped or _begun_of_last_phase(state, config) >= config.train.epochs_of(config.phases[-1])
        return done and _is_in_last_phase(state, config) and not self.forced and read_state(self.directory) == "finished"

    @property
    def ended_by(self) -> str:
        """Names of the callbacks of which one has ended the training early; empty where none has."""
        names = [entry.name for entry in self.loaded.config.train.callbacks]
        return " or ".join(dict.fromkeys(names)) if self.checkpoint.state.stopped else ""


def open_interrupted(
    run: Path, configs: Sequence[ConfigSource], overrides: Sequence[str], epochs: int | None, *, force: bool, is_chief: bool = True
) -> Resumed:
    """Open an interrupted run to resume it.

    Args:
        run: Its folder, or its name below `runs/`.
        configs: Config files or mappings in place of the run's own.
        overrides: `a.b.c=value` overrides.
        epochs: Total number of epochs of all phases, in place of the config's; None for those.
        force: Whether to resume although the config or the data has changed.
        is_chief: Whether this process will write the run; another worker of it only reads.

    Raises:
        CnnkitError: There is no such run, it has no intact checkpoint, another process is writing it, or its config has changed.
    """
    directory = run_of(run)
    if not CheckpointStore(directory.checkpoints):
        raise CnnkitError(f"{run}: has no checkpoint to resume from", "Train it anew, or name another run.")
    lock = RunLock(directory.path) if is_chief else None
    try:
        checkpoint, notices = newest_checkpoint(directory, is_locked=lock is not None)
        if not configs and not directory.config.exists() and lock is not None:
            directory.write_config(write_yaml(checkpoint.state.run.config))
            notices.append(f"{directory.config} was missing; it was written again from the checkpoint.")
        loaded = load_config(configs or [directory.config], overrides)
        begun = _begun_of_last_phase(checkpoint.state, loaded.config)
        if epochs is not None:
            loaded = with_epochs(configs or [directory.config], overrides, loaded, epochs, begun)
        planned = loaded.config.train.epochs_of(loaded.config.phases[-1])
        is_own = not configs and not overrides  # it has the number of an earlier `--epochs` before a checkpoint has
        takes_epochs = epochs is not None or (is_own and begun <= planned)
        if takes_epochs and begun:
            notices += _new_total(checkpoint.state.run.config, loaded)
        changed = config_changes(checkpoint.state.run.config, loaded, ignore_epochs=takes_epochs)
        if changed and not force:
            raise _changed_config(directory, changed)
        if begun > planned:
            message = f"{directory.path}: {begun} epochs of the last phase are done or begun, but the config has {planned}"
            raise CnnkitError(message, f"Resume it with {begun} or more.")
        if changed:
            notices.append(f"The config has changed ({', '.join(changed)}): what still fits of the training state is restored (--force).")
        return resumed_from(directory, lock, checkpoint, loaded, notices, changed, force=force)
    except CnnkitError:
        if lock is not None:
            lock.release()
        raise


def _changed_config(directory: RunDirectory, changed: Mapping[str, tuple[Any, Any]]) -> CnnkitError:
    """The error for config keys that have changed, where resuming is not forced."""
    remedy = "Put the config back as it was, or resume anyway with --force."
    if any(key.endswith("epochs") for key in changed):
        remedy += " For more epochs: `--epochs N`."
    return CnnkitError(f"{directory.path}: the config has changed since the run was interrupted:\n{changes_text(changed)}", remedy)


def _is_in_last_phase(state: TrainingState, config: Config) -> bool:
    """Whether the last phase is being trained or has been."""
    return state.phase_started and state.phase == len(config.phases) - 1


def _begun_of_last_phase(state: TrainingState, config: Config) -> int:
    """Epochs of the last phase that are done or begun; 0 while an earlier phase is trained."""
    return state.epoch - state.epochs_before_phase + (state.step > 0) if _is_in_last_phase(state, config) else 0


def _new_total(before: Mapping[str, Any], now: LoadedConfig) -> list[str]:
    """The notice that `total_steps` has changed with the epochs of the last phase, which has begun, where its schedule uses it."""
    train = now.config.train
    last = train.optimizer_of(train.phases[-1]) if train.phases else train.optimizer
    if not names_shares(last) or config_changes(before, now) == config_changes(before, now, ignore_epochs=True):
        return []
    notice = "total_steps has changed with the number of epochs: from here on, the learning rate is that of the longer or shorter training"
    return [f"{notice} at the same step. For a result as if it had been planned from the beginning, train anew."]


def newest_checkpoint(directory: RunDirectory, *, is_locked: bool) -> tuple[Checkpoint, list[str]]:
    """The newest intact checkpoint of a run, and notices.

    Args:
        directory: The run.
        is_locked: Whether this process writes the run: then leftovers of a killed process are removed.

    Raises:
        CnnkitError: None is intact.
    """
    checkpoints = CheckpointStore(directory.checkpoints)
    if is_locked:
        directory.remove_leftovers()
        checkpoints.remove_leftovers()
        shutil.rmtree(directory.cache)
    checkpoint, damaged = checkpoints.newest()
    if checkpoint is None:
        raise CnnkitError(f"{directory.path}: none of its checkpoints is intact", "\n    ".join(damaged))
    return checkpoint, list(damaged)


def resumed_from(
    directory: RunDirectory,
    lock: RunLock | None,
    checkpoint: Checkpoint,
    loaded: LoadedConfig,
    notices: Sequence[str],
    changed: Mapping[str, object],
    *,
    force: bool = False,
) -> Resumed:
    """A run, opened to be resumed from a checkpoint.

    Args:
        directory: The run.
        lock: The lock held on it; None for a worker that only reads it.
        checkpoint: The checkpoint.
        loaded: The config to resume with.
        notices: Notices for the user.
        changed: The config keys that have changed.
        force: Whether to resume although the data has changed.

    Raises:
        CnnkitError: The data cannot be opened, or does not fit the config.
    """
    base_changed = any(key.startswith("model.base") for key in changed)
    written = None if changed or not is_intact(directory.metadata) else read_metadata(directory.model)
    bound = bind(loaded, written.task if written is not None else None)
    return Resumed(bound, directory, lock, checkpoint, bool(changed) or force, base_changed, notices)


def check_data(resumed: Resumed, fingerprint: str) -> None:
    """Check that the data is the same as when the run was started.

    Raises:
        CnnkitError: It has changed, and the user did not force resuming.
    """
    before = resumed.checkpoint.state.run.data
    if fingerprint != before.fingerprint and not resumed.forced:
        raise CnnkitError(
            f"{resumed.directory.path}: the data ({before.name}) has changed since the run was interrupted "
            f"(fingerprint {before.fingerprint[:12]} -> {fingerprint[:12]})",
            "Put it back as it was, or resume anyway with --force.",
        )


def config_changes(before: Mapping[str, Any], now: LoadedConfig, *, ignore_epochs: bool = False) -> dict[str, tuple[Any, Any]]:
    """Old and new value of each config key that has changed and affects training.

    Args:
        before: The resolved config of a run, as in its checkpoints.
        now: The config now.
        ignore_epochs: Whether another number of epochs of the last phase is no change.
    """
    config, _ = validate(dict(before))  # keys that an older cnnkit did not have are at their defaults
    complete = resolved(config) if config is not None else before
    changed = differences(*(json.loads(json.dumps(each)) for each in (complete, resolved(now.config))))  # tuples are lists in a checkpoint
    relevant = {key: pair for key, pair in changed.items() if not key.startswith(UNRELATED_TO_LEARNING)}
    phases = now.config.train.phases
    epochs = "train.epochs" if phases is None else f"train.phases[{len(phases) - 1}].epochs"
    return {key: pair for key, pair in relevant.items() if not (ignore_epochs and key == epochs)}


def changes_text(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """A line per changed config key: `    train.epochs: 3 -> 5`."""
    return "\n".join(f"    {key}: {format_value(old)} -> {format_value(new)}" for key, (old, new) in changed.items())
