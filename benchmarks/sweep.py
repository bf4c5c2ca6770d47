"""Sweeps, measured: TPE against random search with as many trials, and what a trial costs beyond the same training.

    python benchmarks/sweep.py samplers --seeds 5 --trials 25 --epochs 8
    python benchmarks/sweep.py overhead --trials 6 --epochs 20

Both use the packaged digits. They print a table and write nothing but runs in a temporary folder.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent

SPACE = {
    "train.optimizer.Adam.learning_rate": {"FloatDistribution": {"low": 1e-5, "high": 1.0, "log": True}},
    "model.layers[0].Conv2D.filters": {"IntDistribution": {"low": 4, "high": 64, "step": 4}},
    "model.layers[4].Dropout.rate": {"FloatDistribution": {"low": 0.0, "high": 0.9}},
}


def write_config(folder: Path, sampler: str, trials: int, epochs: int) -> Path:
    """`configs/digits.yaml` with a search over three parameters by the validation loss, which has no ties."""
    config = yaml.safe_load((ROOT / "configs" / "digits.yaml").read_text())
    config["train"] |= {"epochs": epochs, "optimizer": {"Adam": {"learning_rate": 1e-3}}}
    config["data"]["seed"] = 42  # the same splits for every seed
    config["sweep"] = {"trials": trials, "objective": "val_loss", "sampler": sampler, "space": SPACE}
    path = folder / f"{sampler}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def best_after(folder: Path, counts: list[int]) -> list[float]:
    """The best validation loss among the first so many trials of a sweep."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "journal.jsonl")))
    (summary,) = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    values = [trial.value if trial.value is not None else float("inf") for trial in trials]
    return [min(values[:count]) for count in counts]


def samplers(seeds: int, trials: int, epochs: int) -> None:
    """The median over seeds of the best validation loss, by sampler and number of trials."""
    counts = sorted({max(1, trials // 5), max(1, trials // 2), trials})
    results: dict[str, list[list[float]]] = {"RandomSampler": [], "TPESampler": []}
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        for seed in range(1, seeds + 1):
            for sampler, found in results.items():
                folder = Path(scratch) / f"{sampler}-{seed}"
                config = write_config(Path(scratch), sampler, trials, epochs)
                command = [sys.executable, "-m", "cnnkit", "sweep", str(config), "--set", f"seed={seed}", "--sweep-dir", str(folder)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
                found.append(best_after(folder, counts))
                print(f"seed {seed}  {sampler:14} best after {counts}: {[f'{value:.4f}' for value in found[-1]]}", flush=True)
    print(f"\nbest val_loss, median of {seeds} seeds (all of them)\n")
    for index, count in enumerate(counts):
        for sampler, found in results.items():
            values = sorted(each[index] for each in found)
            print(f"{count:4} trials  {sampler:14} {statistics.median(values):.4f}  ({', '.join(f'{value:.4f}' for value in values)})")


def overhead(trials: int, epochs: int) -> None:
    """Seconds of trials of a sweep, against those of the same trainings without one, in turns within this process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    from cnnkit.api.display import QuietDisplay, QuietListener
    from cnnkit.config.load import load_config
    from cnnkit.data.binding import bind
    from cnnkit.experiments.sweep.run import open_sweep
    from cnnkit.experiments.sweep.storage import StorageAddress
    from cnnkit.experiments.sweep.task import forget_networks
    from cnnkit.experiments.sweep.trial_run import run_trial
    from cnnkit.training.prepare import prepare
    from cnnkit.training.run import train

    pairs = []
    with tempfile.TemporaryDirectory(prefix="cnnkit-") as scratch:
        study = open_sweep(
            load_config([write_config(Path(scratch), "RandomSampler", trials + 1, epochs)]), Path(scratch) / "s", StorageAddress()
        ).study
        for number in range(trials + 1):
            began = time.perf_counter()
            claim = study.claim()
            assert claim is not None
            run_trial(study, claim, QuietDisplay())
            forget_networks()
            trial_seconds = time.perf_counter() - began
            began = time.perf_counter()
            config = bind(load_config([study.folder.trial(number) / "config.yaml"]))
            train(prepare(config, Path(scratch) / f"train-{number}"), QuietListener())
            forget_networks()
            train_seconds = time.perf_counter() - began
            if number:  # the first pair imports and warms up
                pairs.append((trial_seconds, train_seconds))
                print(f"trial {trial_seconds:.2f} s, train {train_seconds:.2f} s, ratio {trial_seconds / train_seconds:.3f}", flush=True)
    print(f"\nmedian ratio of {len(pairs)} pairs: {statistics.median(a / b for a, b in pairs):.3f}")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("samplers", "overhead"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    if given.what == "samplers":
        samplers(given.seeds, given.trials, given.epochs)
    else:
        overhead(given.trials, given.epochs)


if __name__ == "__main__":
    main()
