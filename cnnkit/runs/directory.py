"""The run directory: names of its files, atomic writing, and reading."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Kind
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_atomically, write_json, write_text
from cnnkit.io.json_file import read_json
from cnnkit.model.model_file import MODEL_NAME, model_in
from cnnkit.model.saving import write_model
from cnnkit.runs.intact import is_intact
from cnnkit.runs.leftovers import remove_leftovers_in
from cnnkit.runs.lock import NAME as LOCK_NAME
from cnnkit.runs.names import RUNS

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config, which reproduces the run."""
        return self.path / "config.yaml"

    @property
    def model(self) -> Path:
        """The saved model."""
        return self.path / MODEL_NAME

    @property
    def metadata(self) -> Path:
        """The model metadata."""
        return self.path / "model.json"

    @property
    def history(self) -> Path:
        """Loss and metrics, a row per epoch."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """The final evaluation."""
        return self.path / "metrics.json"

    def tta_metrics(self, tta: str) -> Path:
        """The final evaluation with a test-time augmentation, apart from that without."""
        return self.path / f"metrics-tta-{tta}.json"

    @property
    def all_tta_metrics(self) -> list[Path]:
        """The evaluations with a test-time augmentation that there are."""
        return sorted(self.path.glob(self.tta_metrics("*").name))

    @property
    def curves(self) -> Path:
        """Plot of loss and metrics over the epochs."""
        return self.path / "curves.png"

    @property
    def confusion(self) -> Path:
        """Plot of the confusion matrix."""
        return self.path / "confusion.png"

    @property
    def reliability(self) -> Path:
        """Reliability diagram."""
        return self.path / "reliability.png"

    @property
    def predictions(self) -> Path:
        """Plot of predicted against true values of a regression."""
        return self.path / "predictions.png"

    def write_config(self, text: str) -> None:
        """Write the resolved config."""
        write_text(self.config, text)

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write `history.csv`, a row per epoch."""
        columns = list(dict.fromkeys(column for row in rows for column in row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history, buffer.getvalue())

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints for exact resume."""
        return self.path / "checkpoints"

    @property
    def environment(self) -> Path:
        """Versions, devices, the data's fingerprint, times and state."""
        return self.path / "environment.json"

    def read_history(self) -> list[dict[str, float]]:
        """The rows of `history.csv`, one per epoch, without the columns that are empty in that epoch.

        Raises:
            CnnkitError: The file is missing or damaged.
        """
        path = self.history
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file, strict=True)]
        except FileNotFoundError:
            raise CnnkitError(f"{path}: is missing, so how the run learned is not known", "Train the run again.") from None
        except (OSError, ValueError, csv.Error, TypeError) as error:
            raise CnnkitError(f"{path}: is damaged ({type(error).__name__})", "Train the run again.") from error

    @property
    def manifest(self) -> Path:
        """The split of each example."""
        return self.path / "manifest.csv"

    @property
    def cache(self) -> Path:
        """The folder of decoded images, which exists only during training."""
        folder = self.path / "cache"
        folder.mkdir(exist_ok=True)
        return folder

    def write_manifest(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """Write `manifest.csv`: path, label and split of each example."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows([("path", "label", "split"), *rows])
        write_text(self.manifest, buffer.getvalue())

    def read_manifest(self) -> list[tuple[str, str, str]]:
        """Path, label and split of each example; empty where the run has no manifest.

        Raises:
            CnnkitError: The file is damaged.
        """
        if not self.manifest.exists():
            return []
        try:
            with self.manifest.open(encoding="utf-8", newline="") as file:
                return [(row["path"], row["label"], row["split"]) for row in csv.DictReader(file, strict=True)]
        except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
            raise CnnkitError(f"{self.manifest}: is damaged ({type(error).__name__})", "Train the run again.") from error

    @property
    def calibration(self) -> Path:
        """The fitted temperature, and calibration metrics before and after."""
        return self.path / "calibration.json"

    @property
    def probe(self) -> Path:
        """Metrics on corrupted examples."""
        return self.path / "probe.json"

    @property
    def benchmark(self) -> Path:
        """The formats of the model side by side: size, speed, metric, memory."""
        return self.path / "benchmark.json"

    @property
    def benchmark_plot(self) -> Path:
        """Plot of the metric against latency, format by format."""
        return self.path / "benchmark.png"

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write `metrics.json`, the final evaluation."""
        write_json(self.metrics, metrics)

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Write `environment.json`: versions, devices, data fingerprint, times, state."""
        write_json(self.environment, environment)

    def save_model(self, model: "keras.Model", metadata: ModelMetadata, *, recalibrated: bool = False) -> None:
        """Write `model.keras`, without optimizer state, and `model.json`.

        What belongs to the previous model is deleted: its calibration, probe and benchmark, and its metrics with test-time augmentation.

        Args:
            model: The model.
            metadata: Its metadata.
            recalibrated: Whether only the probabilities are others than before, so that probe and benchmark still hold.
        """
        self.write_metadata(metadata)
        write_atomically(self.model, lambda temporary: write_model(model, temporary))
        of_weights = () if recalibrated else (self.probe, self.path / "probe.png", self.benchmark, self.benchmark_plot)
        for path in (self.calibration, *of_weights, *self.all_tta_metrics):
            path.unlink(missing_ok=True)

    def write_metadata(self, metadata: ModelMetadata) -> None:
        """Write `model.json`, the model metadata."""
        write_json(self.metadata, asdict(metadata))

    def evaluation_plots(self, kind: Kind) -> list[Path]:
        """The plots of the final evaluation of a kind of task."""
        plots = {"classification": [self.confusion, self.reliability], "regression": [self.predictions]}
        return plots.get(kind, [])

    def unusable_files(self, kind: Kind) -> list[Path]:
        """Files of a finished run that are missing or damaged.

        Args:
            kind: The kind of the run's task, on which its plots depend.
        """
        expected = [self.model, self.metadata, self.history, self.curves]
        if _was_evaluated(self):
            expected += [self.metrics, *self.evaluation_plots(kind)]
        return [path for path in expected if not is_intact(path)]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the folder but the lock file."""
        return all(path.name == LOCK_NAME for path in self.path.iterdir())

    def remove_content(self) -> None:
        """Remove everything in the folder but the lock file."""
        for path in list(self.path.iterdir()):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK_NAME:
                path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove what processes left that were killed while writing one of the run's files, an explanation or an export in it."""
        remove_leftovers_in(self.path)


def is_unfinished(directory: RunDirectory) -> bool:
    """Whether a run was started, is not finished, and can be resumed."""
    return directory.checkpoints.is_dir() and not directory.metrics.exists() and read_state(directory) != "finished"


def _was_evaluated(directory: RunDirectory) -> bool:
    """Whether a run has held-out examples, so that a final evaluation is expected."""
    try:
        data = read_json(directory.environment)["data"]
        return bool(data["validation"] or data["test"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_state(directory: RunDirectory) -> str:
    """The state in `environment.json`: running, interrupted, pruned, failed or finished; empty where it cannot be read."""
    try:
        return str(read_json(directory.environment)["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def run_of(run: Path) -> RunDirectory:
    """The run of a path, or of a name in `runs/`.

    Raises:
        CnnkitError: There is no such run.
    """
    found = run if run.exists() else RUNS / run
    if not found.exists():
        raise CnnkitError(f"{run}: no such run", "See which there are: `cnnkit runs`.")
    return RunDirectory(found)


def find_run(run: Path | None) -> RunDirectory:
    """The run of a path, or of a name in `runs/`; for None, the run there with the newest model.

    Raises:
        CnnkitError: There is no such run, or it has no model yet.
    """
    if run is None:
        models = sorted(RUNS.glob(f"*/{MODEL_NAME}"), key=lambda path: path.stat().st_mtime)
        if not models:
            raise CnnkitError(f"there is no run with a model below {RUNS.resolve()}", "Train one first: `cnnkit train configs/cifar.yaml`.")
        return RunDirectory(models[-1].parent)
    directory = run_of(run)
    model_in(directory.path, named=run)  # raises for a folder without a model
    return directory
