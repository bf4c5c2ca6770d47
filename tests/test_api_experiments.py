"""Groups of runs and sweeps from a plain script: without a `__main__` guard, in worker processes, with results as values."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cnnkit
from tests.sweeping import mapping_of

ROOT = Path(__file__).parent.parent

SCRIPT = """
import json
import cnnkit

config = CONFIG
print("script")  # once: workers do not run it
group = cnnkit.repeat(config, seeds=[3, 5], run_dir="group")
sweep = cnnkit.sweep(config)
again = cnnkit.sweep(config)
winner = cnnkit.sweep(config, seeds=1)["winner"]
best = cnnkit.train(sweep["best_config"], run_dir="best")
print(json.dumps([group, sweep, again == sweep, winner, best.history[-1], cnnkit.load("group/seed-3").metrics["accuracy"]]))
"""


@pytest.mark.slow
def test_repeat_and_sweep_in_a_script_without_a_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT.replace("CONFIG", repr(mapping_of(sweep={"trials": 2}, train={"epochs": 1}))))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    said, values = done.stdout.splitlines()
    assert said == "script"
    group, sweep, is_same, winner, best, first = json.loads(values)
    measured: list[Any] = [run["metrics"]["accuracy"] for run in group["runs"]]
    assert [run["seed"] for run in group["runs"]] == [3, 5]
    assert measured[0] == first
    assert group["metrics"]["accuracy"]["mean"] == statistics.fmean(measured)
    assert (tmp_path / group["folder"], Path(group["page"]).name) == (tmp_path / "group", "summary.html")
    assert [trial["state"] for trial in sweep["trials"]] == ["finished", "finished"]
    assert sweep["best"]["value"] == max(trial["value"] for trial in sweep["trials"])
    assert is_same
    assert best["val_accuracy"] == pytest.approx(sweep["best"]["value"])
    assert sweep["winner"] is None
    assert (winner["trial"], winner["trial_value"]) == (sweep["best"]["number"], sweep["best"]["value"])
    assert winner["gap"] == pytest.approx(winner["trial_value"] - winner["validation"]["mean"])


def test_a_negative_number_of_fresh_seeds_is_refused_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cnnkit.errors.CnnkitError) as refused:
        cnnkit.sweep(mapping_of(), seeds=-1)
    assert str(refused.value) == "seeds: -1 is not a whole number of 0 or more"
    assert not list(tmp_path.iterdir())
