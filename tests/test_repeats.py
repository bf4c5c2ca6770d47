"""`--seeds` and `--folds`: normal runs, a summary that SciPy and scikit-learn confirm, and one command that goes on after any kill.

Over 300 lines: every claim is about the same small groups, which are trained once.
"""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score
from test_resume import BASE, PLAIN

from cnnkit import cli
from cnnkit.errors import CnnkitError
from cnnkit.experiments.compare_groups import compare_groups
from cnnkit.experiments.repeats import parse_seeds
from cnnkit.report.write import write_report
from cnnkit.runs.listing import list_runs
from cnnkit.runs.lock import RunLock

SEEDS = (3, 7, 9)

FOLDED = """
name: folded
data: {npz: a.npz, group: g, validation: 0.2, batch_size: 16}
model: {layers: [Flatten, {Dense: {units: 8, activation: relu}}, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 2}
"""


def cnnkit(folder: Path, *arguments: str) -> str:
    """What a command prints that ends well; run in a process of its own, as its workers are."""
    environment = {**os.environ, "PYTHONPATH": str(faults.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "100"}
    command, both = faults.command(*arguments), subprocess.STDOUT
    ended = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=both, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def refused(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int = 1) -> str:
    """The message of a command that is refused before anything is trained."""
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == status
    return capsys.readouterr().err.removeprefix("Error: ").rstrip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups of seeds of two configs, and the folds of a third, with all that they print."""
    folder = tmp_path_factory.mktemp("repeats")
    (folder / "small.yaml").write_text(PLAIN)
    (folder / "printed.txt").write_text(cnnkit(folder, "train", "small.yaml", "--seeds", "3,7,9", "--workers", "2"))
    faster = ("--set", "train.optimizer={Adam: {learning_rate: 0.01}}", "--set", "name=fast")
    cnnkit(folder, "train", "small.yaml", "--seeds", "3,7,9,11", "--workers", "2", *faster)
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    x = random.normal(size=(120, 4, 4, 1)) + y[:, None, None, None]
    np.savez(folder / "a.npz", x=x.astype(np.float32), y=y, g=np.arange(120) // 4)
    (folder / "folded.yaml").write_text(FOLDED)
    (folder / "folds.txt").write_text(cnnkit(folder, "train", "folded.yaml", "--folds", "4", "--workers", "2", "--set", "train.devices=2"))
    return folder


def results(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "metrics.json").read_text()))


def summary(group: Path) -> dict[str, Any]:
    return dict(json.loads((group / "summary.json").read_text()))


@pytest.mark.slow
def test_each_run_of_a_group_is_that_of_the_config_with_its_seed(folder: Path, tmp_path: Path) -> None:
    for seed in SEEDS[:2]:
        cnnkit(folder, "train", "small.yaml", "--set", f"seed={seed}", "--run-dir", str(tmp_path / str(seed)))
        alone, in_group = tmp_path / str(seed), folder / "runs" / "small-seeds" / f"seed-{seed}"
        assert faults.differing(alone, in_group) == []
        assert faults.differing_files(alone, in_group) == []
        assert (alone / "config.yaml").read_text() == (in_group / "config.yaml").read_text()


def test_mean_deviation_and_interval_are_those_of_scipy(folder: Path) -> None:
    group = folder / "runs" / "small-seeds"
    found = summary(group)["metrics"]
    for name, key in (("accuracy", "accuracy"), ("log_loss", "log_loss"), ("loss", "loss"), ("balanced_accuracy", "balanced_accuracy")):
        values = np.array([results(group / f"seed-{seed}")[key] for seed in SEEDS])
        low, high = np.clip(stats.t.interval(0.95, 2, values.mean(), stats.sem(values)), 0, 1 if "accuracy" in name else np.inf)
        assert found[name]["mean"] == pytest.approx(values.mean())
        assert found[name]["deviation"] == pytest.approx(values.std(ddof=1))
        assert (found[name]["low"], found[name]["high"]) == pytest.approx((low, high))
    assert [run["seed"] for run in summary(group)["runs"]] == list(SEEDS)


def test_the_screen_and_the_page_say_what_the_summary_says(folder: Path) -> None:
    group, printed = folder / "runs" / "small-seeds", (folder / "printed.txt").read_text()
    accuracy = summary(group)["metrics"]["accuracy"]
    assert "small, 3 seeds · test set of digits, 360 examples" in printed
    assert f"{accuracy['mean']:.4f} ± {accuracy['deviation']:.4f}   {accuracy['low']:.4f} – {accuracy['high']:.4f}" in printed
    assert "With so few runs they are wide and uncertain." in printed
    assert re.search(r"^seed-3 +epoch 1/3  loss ", printed, re.MULTILINE)
    assert printed.rstrip().endswith("Runs: runs/small-seeds   Page: runs/small-seeds/summary.html")
    page = (group / "summary.html").read_text()
    assert f'<span class="value">{accuracy["mean"]:.4f}</span>' in page
    assert f"95 % interval {accuracy['low']:.4f} – {accuracy['high']:.4f}" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "<script" not in page
    assert page.count('<tr><td class="words name">seed-') == 3
    assert (group / "summary.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("group", ["small-seeds", "folded-folds"])
def test_report_writes_the_page_of_a_group_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: str
) -> None:
    page = folder / "runs" / group / "summary.html"
    before = page.read_text()
    page.unlink()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["cnnkit", "report", group])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert capsys.readouterr().out == f"Report: runs/{group}/summary.html\n"
    assert page.read_text() == before


def test_report_measures_the_runs_of_a_group_as_they_are_now(folder: Path, tmp_path: Path) -> None:
    group = tmp_path / "group"
    shutil.copytree(folder / "runs" / "small-seeds", group)
    metrics = results(group / "seed-3")
    (group / "seed-3" / "metrics.json").write_text(json.dumps({**metrics, "accuracy": 0.5}))
    assert write_report(group, tmp_path / "page.html") == tmp_path / "page.html"
    mean = np.mean([0.5, *(results(group / f"seed-{seed}")["accuracy"] for seed in SEEDS[1:])])
    assert summary(group)["metrics"]["accuracy"]["mean"] == pytest.approx(mean)
    assert f'<span class="value">{mean:.4f}</span>' in (tmp_path / "page.html").read_text()
    for seed in SEEDS[1:]:
        shutil.rmtree(group / f"seed-{seed}")
    with pytest.raises(CnnkitError) as raised:
        write_report(group)
    assert str(raised.value) == (
        f"{group}: 1 finished run in it, but two or more are needed\n    Finish it with the command that began it."
    )


def test_the_same_command_again_trains_nothing(folder: Path) -> None:
    group = folder / "runs" / "small-seeds"
    before = {path: path.stat().st_mtime_ns for path in group.glob("seed-*/*.*")}
    printed = cnnkit(folder, "train", "small.yaml", "--seeds", "3,7,9")
    assert {path: path.stat().st_mtime_ns for path in group.glob("seed-*/*.*")} == before
    assert "epoch 1/" not in printed
    assert printed.splitlines()[-3:] == (folder / "printed.txt").read_text().splitlines()[-3:]


def test_every_example_is_held_out_in_one_fold_with_its_whole_group(folder: Path) -> None:
    held_out: list[str] = []
    for number in range(1, 5):
        with (folder / "runs" / "folded-folds" / f"fold-{number}" / "manifest.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["split"] for row in rows} == {"train", "validation", "test"}
        groups = [{int(row["path"]) // 4 for row in rows if row["split"] == split} for split in ("train", "validation", "test")]
        assert sum(map(len, groups)) == 30
        held_out += [row["path"] for row in rows if row["split"] == "test"]
    assert sorted(held_out, key=int) == [str(i) for i in range(120)]


def test_the_pooled_accuracy_is_that_of_scikit_learn_over_all_held_out_predictions(folder: Path) -> None:
    import keras

    group, arrays = folder / "runs" / "folded-folds", np.load(folder / "a.npz")
    true, predicted = [], []
    for number in range(1, 5):
        with (group / f"fold-{number}" / "manifest.csv").open() as file:
            chosen = [int(row["path"]) for row in csv.DictReader(file) if row["split"] == "test"]
        model = keras.saving.load_model(group / f"fold-{number}" / "model.keras")
        true += arrays["y"][chosen].tolist()
        predicted += np.argmax(model.predict(arrays["x"][chosen], verbose=0), axis=1).tolist()
    with (group / "out-of-fold.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(int(row["true"]), int(row["predicted"])) for row in table] == list(zip(true, predicted, strict=True))
    assert [row["fold"] for row in table] == sorted(row["fold"] for row in table)
    assert sorted(int(row["example"]) for row in table) == list(range(120))
    assert all(arrays["y"][int(row["example"])] == int(row["true"]) for row in table)
    assert all(float(row[row["predicted"]]) == max(float(row[name]) for name in "012") for row in table)
    found = summary(group)
    assert found["pooled"]["accuracy"]["value"] == pytest.approx(accuracy_score(true, predicted))
    values = np.array([results(group / f"fold-{number}")["accuracy"] for number in range(1, 5)])
    half = stats.t.ppf(0.975, 3) * values.std(ddof=1) * np.sqrt(1 / 4 + 1 / 3)
    assert found["metrics"]["accuracy"]["high"] == pytest.approx(values.mean() + half)
    assert "Nadeau and Bengio 2003" in found["interval"]
    printed = " ".join((folder / "folds.txt").read_text().split())
    assert "each of 120 examples held out once" in printed
    assert printed.count("train.devices: 2 is not applied: runs of a group have one device each, here the processor.") == 1


def test_groups_are_compared_by_pairs_of_equal_seeds_as_scipy_does(folder: Path, tmp_path: Path) -> None:
    groups = [folder / "runs" / name for name in ("small-seeds", "fast-seeds")]
    compared = compare_groups(groups, tmp_path / "c.png")
    first, second = ([results(group / f"seed-{seed}")["accuracy"] for seed in SEEDS] for group in groups)
    theirs = stats.ttest_rel(first, second)
    found = compared.versus[0].differences[compared.headline]
    assert (found.pairs, found.p) == (3, pytest.approx(theirs.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(np.clip(theirs.confidence_interval(0.95), -1, 1)))
    assert compared.versus[0].corrected == found.p
    assert compared.differences == {"train.optimizer": ("adam", {"Adam": {"learning_rate": 0.01}})}
    assert (tmp_path / "c.png").exists()


def test_groups_of_other_seeds_are_compared_by_welch_s_test(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other-seeds"
    other.mkdir()
    (other / "group.json").write_text((folder / "runs" / "small-seeds" / "group.json").read_text())
    for seed in SEEDS[1:]:
        (other / f"seed-{seed}").symlink_to(folder / "runs" / "small-seeds" / f"seed-{seed}")
    (other / "seed-100").mkdir()
    for name in ("metrics.json", "history.csv", "environment.json"):
        (other / "seed-100" / name).write_text((folder / "runs" / "small-seeds" / "seed-3" / name).read_text())
    config = (folder / "runs" / "small-seeds" / "seed-3" / "config.yaml").read_text()
    (other / "seed-100" / "config.yaml").write_text(config.replace("seed: 3\n", "seed: 100\n"))
    fast = folder / "runs" / "fast-seeds"
    found = compare_groups([other, fast], tmp_path / "c.png").versus[0]
    values = [[results(path)["accuracy"] for path in group.glob("seed-*")] for group in (other, fast)]
    headline = next(iter(found.differences.values()))
    assert (headline.pairs, headline.p) == (0, pytest.approx(stats.ttest_ind(*values, equal_var=False).pvalue))


def test_what_cannot_be_compared_is_told(folder: Path, tmp_path: Path) -> None:
    seeds, folds = folder / "runs" / "small-seeds", folder / "runs" / "folded-folds"
    compared = compare_groups([seeds, folds], tmp_path / "c.png")
    assert compared.versus[0].why_not == "one is a group of seeds, the other of folds"
    assert compared.versus[0].differences == {}
    unfinished = tmp_path / "folded-folds"
    unfinished.mkdir()
    (unfinished / "group.json").write_text((folds / "group.json").read_text())
    (unfinished / "fold-1").symlink_to(folds / "fold-1")
    with pytest.raises(CnnkitError) as caught:
        compare_groups([folds, unfinished])
    assert str(caught.value) == (
        f"{unfinished}: 1 finished run in it, but all of its 4 folds are needed\n    Finish it with the command that began it."
    )


def test_groups_are_one_row_in_the_list_of_runs_and_their_runs_are_listed_in_them(folder: Path) -> None:
    listed = {run.name: run for run in list_runs(folder / "runs", "name")}
    assert sorted(listed) == ["fast-seeds", "folded-folds", "small-seeds"]
    small, found = listed["small-seeds"], summary(folder / "runs" / "small-seeds")["metrics"]["accuracy"]
    assert (small.runs, small.epochs, small.state, small.data) == (3, 9, "finished", "digits")
    assert (small.value, small.deviation) == (pytest.approx(found["mean"]), pytest.approx(found["deviation"]))
    assert [run.name for run in list_runs(folder / "runs" / "small-seeds", "name")] == ["seed-3", "seed-7", "seed-9"]


@pytest.mark.slow
def test_transfer_is_repeated_too(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE)
    cnnkit(tmp_path, "train", "base.yaml")
    (tmp_path / "t.yaml").write_text(
        "name: t\ndata: {dataset: digits, limit: 100}\n"
        "model: {base: {run: runs/base, until: high}, head: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n"
    )
    printed = cnnkit(tmp_path, "transfer", "t.yaml", "--epochs", "1", "--seeds", "2", "--workers", "2")
    assert "t, 2 seeds · test set of digits, 360 examples" in printed
    assert sorted(path.name for path in (tmp_path / "runs" / "t-seeds").glob("seed-*")) == ["seed-42", "seed-43"]


def test_seeds_are_a_number_or_a_list() -> None:
    assert list(parse_seeds("5", 42)) == [42, 43, 44, 45, 46]
    assert list(parse_seeds("3,7,9", 42)) == [3, 7, 9]
    for text, message in (
        ("1", "--seeds: 1: fewer than two runs have no spread\n    Name two or more, better five: `--seeds 5`."),
        ("0", "--seeds: 0: fewer than two runs have no spread\n    Name two or more, better five: `--seeds 5`."),
        ("1001", "--seeds: 1001: more than 1,000 runs\n    Name a number of seeds, or a list such as 3,7,9."),
        ("1" + 19 * "0", f"--seeds: 1{19 * '0'}: more than 1,000 runs\n    Name a number of seeds, or a list such as 3,7,9."),
        ("3,3", "--seeds: 3,3: a seed is there twice\n    Name each once."),
        ("a", "--seeds: 'a' is neither a number nor a list of numbers\n    Write 5, or 3,7,9."),
    ):
        with pytest.raises(CnnkitError) as caught:
            parse_seeds(text, 42)
        assert str(caught.value) == message


def test_what_cannot_be_repeated_is_refused_before_anything_is_trained(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(path.name for path in (folder / "runs").iterdir())

    def told(*arguments: str, status: int = 1) -> str:
        return refused("train", *arguments, monkeypatch=monkeypatch, capsys=capsys, status=status)

    assert told("folded.yaml", "--folds", "31") == (
        "--folds: 31 folds are too many: the training examples have only 30 groups\n    At most 30 folds are possible."
    )
    assert told("folded.yaml", "--folds", "5") == (
        "runs/folded-folds: holds a group of 4 folds, not of 5 folds\n    Name another --run-dir."
    )
    assert told("folded.yaml", "--folds", "4", "--run-dir", "runs") == (
        "runs: is not empty, and holds no group of runs\n    Name another --run-dir, or remove it yourself."
    )
    assert told("small.yaml", "--seeds", "3", "--set", "train.epochs=9") == (
        "runs/small-seeds: holds runs of another config:\n    train.epochs: 3 -> 9\n"
        "    Put the config back as it was, or name another --run-dir."
    )
    lock = RunLock(folder / "runs" / "small-seeds")
    assert told("small.yaml", "--seeds", "3").startswith("runs/small-seeds: another process is writing this run\n")
    lock.release()
    for arguments, message in (
        (("--seeds", "2", "--folds", "2"), "name one; for a repeated cross-validation, run --folds once for each --set seed=N"),
        (("--seeds", "2", "--workers", "0"), "Input should be greater than or equal to 1"),
        (("--workers", "2"), "goes with --seeds or --folds"),
        (("--seeds", "2", "--resume", "runs/x"), "goes with a config and not with --resume"),
        (("--folds", "1"), "Input should be greater than or equal to 2"),
    ):
        assert message in told("small.yaml", *arguments, status=2)
    assert sorted(path.name for path in (folder / "runs").iterdir()) == before


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The worker processes of a command: those of its children that are not Python's resource tracker."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the workers in /proc")
@pytest.mark.slow
def test_a_group_that_is_terminated_or_killed_goes_on_by_the_same_command_and_ends_the_same(folder: Path, tmp_path: Path) -> None:
    """SIGTERM, then SIGKILL of the parent, then SIGKILL of a worker; each while both workers train."""
    (tmp_path / "small.yaml").write_text(PLAIN)
    arguments = faults.command("train", "small.yaml", "--seeds", "3,7,9", "--workers", "2")
    group = tmp_path / "runs" / "small-seeds"
    for of_worker, number in [(False, signal.SIGTERM), (False, signal.SIGKILL), (True, signal.SIGKILL)]:
        known = set(group.glob("*/checkpoints/*.safetensors"))
        process = faults.start(arguments, tmp_path)
        new = lambda known=known: set(group.glob("*/checkpoints/*.safetensors")) - known  # noqa: E731
        assert faults.wait_for(lambda new=new: bool(new()), process), (tmp_path / "output.txt").read_text()
        workers = children(process)
        assert len(workers) == 2
        os.kill(workers[0] if of_worker else process.pid, number)
        status = process.wait()
        assert status == (0 if of_worker else 143 if number == signal.SIGTERM else -signal.SIGKILL), (tmp_path / "output.txt").read_text()
        deadline = time.monotonic() + 60
        while any(map(alive, workers)) and time.monotonic() < deadline:  # after a kill of the parent, they save and end by themselves
            time.sleep(0.1)
        assert not any(map(alive, workers))
    for seed in SEEDS:
        assert faults.differing(folder / "runs" / "small-seeds" / f"seed-{seed}", group / f"seed-{seed}") == []
        assert faults.differing_files(folder / "runs" / "small-seeds" / f"seed-{seed}", group / f"seed-{seed}") == []
    printed = " ".join((tmp_path / "output.txt").read_text().replace("│", " ").split())
    assert "Stopped; everything is saved in runs/small-seeds. The same command resumes it." in printed
    assert "(signal 15)" not in printed  # whom the stop meets before training has not died
    assert printed.count("its worker died (signal 9); another resumes it") == 1
