"""What each worker of a sweep does: claim a trial, train it, tell its result, until all trials are finished."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from cnnkit.config.load import LoadedConfig
from cnnkit.experiments.sweep.folder import SweepFolder
from cnnkit.experiments.sweep.plan import plan_sweep
from cnnkit.experiments.sweep.storage import StorageAddress
from cnnkit.experiments.sweep.study import open_study
from cnnkit.training.session import Display

WAIT_SECONDS = 1.0  # until a worker without a trial looks again: another one may have been killed


@dataclass(frozen=True)
class SweepTask:
    """The share of one worker in a sweep.

    Attributes:
        name: The sweep, and which worker this is.
        folder: The sweep's folder.
        loaded: The config, checked before.
        address: Where trials are recorded.
    """

    name: str
    folder: Path
    loaded: LoadedConfig
    address: StorageAddress

    def train(self, display: Display) -> bool:
        """Train trials until all are finished, those of other workers included.

        Raises:
            CnnkitError: The storage failed, or no trial can be trained.
        """
        from cnnkit.experiments.sweep.trial_run import run_trial

        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns that each trial has graphs of its own
        study, notice = open_study(plan_sweep(self.loaded, is_checked=True), SweepFolder(self.folder), self.address)
        if notice:
            print(notice, flush=True)  # noqa: T201 - the worker's log
        while not study.is_complete:
            claim = study.claim()
            if claim is None:
                time.sleep(WAIT_SECONDS)
            elif run_trial(study, claim, display) == "interrupted":
                return False
            else:
                forget_networks()
        return True


def forget_networks() -> None:
    """Free what Keras keeps of a finished trial, and begin its automatic names anew, as in a process of its own."""
    import keras

    keras.utils.clear_session()
