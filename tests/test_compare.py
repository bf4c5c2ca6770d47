"""Runs side by side: paired tests as in scipy and by formula, refused where the examples are not the same."""

import json
import math
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from cnnkit import cli
from cnnkit.artifacts.model_metadata import ModelMetadata
from cnnkit.config.task import Task
from cnnkit.console.compare import p_value_text
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.paired_tests import holm, mcnemar, wilcoxon
from cnnkit.experiments.compare_runs import compare_runs
from cnnkit.runs.directory import RunDirectory

CONFIG = """
name: {name}
data: {{npz: {data}, test: 0.5, validation: 0}}
model: {{layers: [Flatten, {{Dense: {{units: {units}, activation: {activation}}}}}]}}
"""


def right(only_first, only_second, both=40):
    first = np.repeat([True, False, True], [only_first, only_second, both])
    return first, np.repeat([False, True, True], [only_first, only_second, both])


@pytest.mark.parametrize(("only_first", "only_second"), [(3, 9), (0, 24), (12, 12), (0, 0)])
def test_few_disagreements_are_judged_by_the_exact_binomial(only_first, only_second):
    test = mcnemar(*right(only_first, only_second))
    low, n = min(only_first, only_second), only_first + only_second
    expected = min(1.0, 2 * sum(math.comb(n, k) for k in range(low + 1)) / 2**n)
    assert test.name == "McNemar's test, exact binomial"
    assert (test.first_better, test.second_better, test.p) == (only_first, only_second, pytest.approx(expected))


@pytest.mark.parametrize(("only_first", "only_second"), [(10, 15), (100, 160), (30, 30)])
def test_many_disagreements_are_judged_by_chi_squared_with_continuity_correction(only_first, only_second):
    test = mcnemar(*right(only_first, only_second))
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / (only_first + only_second)
    assert test.name == "McNemar's test, chi² with continuity correction"
    assert test.p == pytest.approx(math.erfc(math.sqrt(statistic / 2)))  # the upper tail of chi-squared with one degree of freedom


def test_errors_are_judged_by_wilcoxons_signed_ranks():
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 50))
    test = wilcoxon(first, second)
    assert test.p == pytest.approx(stats.wilcoxon(first - second).pvalue)
    assert (test.first_better, test.second_better) == ((first < second).sum(), (first > second).sum())
    assert wilcoxon(first, first).p == 1


@pytest.mark.parametrize(("p", "text"), [(0.0123, "p = 0.012"), (1.8e-10, "p = 1.8e-10"), (1.0, "p = 1"), (1e-300, "p = 1e-300")])
def test_a_p_value_has_two_digits(p, text):
    assert p_value_text(p) == text


def test_a_p_value_that_underflows_is_not_printed_as_zero():
    p = mcnemar(*right(152, 2001)).p  # chi² of 1,586
    assert p == 0
    assert p_value_text(p) == "p < 1e-300"


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_never_changes_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three classifiers of the same 400 signals, of which one is good; one of other signals; and two regressors."""
    folder = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(2)
    signals = generator.normal(size=(400, 4, 1)).astype(np.float32)
    total = signals.sum(axis=(1, 2))
    for name, shift in (("data", 0), ("other", 1)):
        np.savez(folder / f"{name}.npz", x=signals + shift, y=(total > 0).astype(int), class_names=np.array(["low", "high"]))
    np.savez(folder / "sums.npz", x=signals, y=total)
    made = {}
    for name, data, weights in (
        ("good", "data", [1, 1, 1, 1]), ("twin", "data", [1, 1, 1, 1]), ("poor", "data", [1, 1, 1, -3]), ("apart", "other", [1, 1, 1, 1]),
        ("near", "sums", [1, 1, 1, 0.9]), ("far", "sums", [1, 1, 1, 0.2]),
    ):  # fmt: skip
        kind = "regression" if data == "sums" else "classification"
        made[name] = make_run(folder / "runs" / name, folder / f"{data}.npz", np.array(weights, float), kind)
    return made


def make_run(folder: Path, data: Path, weights: np.ndarray, kind: str) -> Path:
    folder.mkdir(parents=True)
    dense = keras.layers.Dense(1, activation="sigmoid" if kind == "classification" else None)
    model = keras.Sequential([keras.Input((4, 1)), keras.layers.Flatten(), dense])
    dense.set_weights([weights[:, None], np.zeros(1)])
    model.compile("sgd", "binary_crossentropy" if kind == "classification" else "mse")
    run = RunDirectory(folder)
    activation = "sigmoid" if kind == "classification" else "linear"
    text = CONFIG.format(name=folder.name, data=data, units=1, activation=activation)
    if kind == "classification":
        text += "train: {loss: binary_crossentropy}\n"
    run.write_config(text)
    run.write_history([{"epoch": i, "loss": 1 / i, "val_loss": 2 / i, "seconds": 1.5} for i in (1, 2)])
    run.save_model(model, ModelMetadata(data.stem, Task(kind, ("low", "high") if kind == "classification" else ("y",))))
    return folder


def test_the_first_run_is_held_against_each_other_on_the_same_examples(runs):
    comparison = compare_runs([runs["good"], runs["poor"], runs["twin"]])
    good, poor, _ = comparison.runs
    against_poor, against_twin = comparison.versus
    assert good.metrics["accuracy"].value == 1
    wrong = round((1 - poor.metrics["accuracy"].value) * 200)
    assert (against_poor.test.first_better, against_poor.test.second_better) == (wrong, 0)
    assert against_poor.test.name == "McNemar's test, chi² with continuity correction"
    assert against_poor.corrected == pytest.approx(2 * against_poor.test.p)
    assert (against_poor.more_than_chance, against_twin.more_than_chance) == (True, False)
    assert against_twin.test.p == 1
    assert comparison.differences == {}
    assert (good.epochs, good.seconds, good.parameters, good.examples) == (2, 3.0, 5, 200)
    with Image.open(runs["good"] / "comparison.png") as picture:
        assert picture.size[0] > 700


def test_runs_on_other_examples_are_not_tested(runs):
    (versus,) = compare_runs([runs["good"], runs["apart"]]).versus
    assert versus.test is None
    assert versus.why_not == "they were not measured on the same examples (test set of data, test set of other)"
    (versus,) = compare_runs([runs["good"], runs["near"]]).versus
    assert versus.why_not == "one does classification, the other regression"


def test_regressors_are_held_against_each_other_by_their_errors(runs):
    comparison = compare_runs([runs["near"], runs["far"]])
    (versus,) = comparison.versus
    assert versus.test.name == "Wilcoxon's signed-rank test of the absolute errors"
    assert (versus.test.first_better, versus.test.second_better) == (200, 0)
    assert comparison.runs[1].metrics["MAE"].value == pytest.approx(8 * comparison.runs[0].metrics["MAE"].value, rel=1e-4)


def test_differing_entries_stand_by_their_dotted_key(runs, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in runs["good"].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "config.yaml").write_text((copy / "config.yaml").read_text() + "seed: 7\n")
    differences = compare_runs([runs["good"], copy, runs["twin"]]).differences
    assert differences == {"seed": (42, 7, 42)}


def test_what_cannot_be_compared_is_told(runs, tmp_path):
    with pytest.raises(CnnkitError, match=r"^only a is named\n    Name two or more runs: `cnnkit compare runs/a runs/b`\.$"):
        compare_runs([Path("a")])
    with pytest.raises(CnnkitError, match=r": no such run\n    See which there are: `cnnkit runs`\.$"):
        compare_runs([runs["good"], tmp_path / "no"])


def test_the_command_tells_figures_and_test(runs, monkeypatch, capsys, tmp_path):
    arguments = ["cnnkit", "compare", str(runs["good"]), str(runs["poor"]), "--picture", str(tmp_path / "c.png")]
    for further in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", [*arguments, *further])
        with pytest.raises(SystemExit) as exit_status:
            cli.main()
        assert exit_status.value.code == 0
        out = capsys.readouterr().out
        if further:
            told = json.loads(out)
            assert (told["versus"][0]["first"], told["versus"][0]["other"], told["versus"][0]["more_than_chance"]) == ("good", "poor", True)
        else:
            assert "test set of data · 200 examples" in out
            assert "good against poor: right where the other is wrong on" in out
            assert "more than chance." in out
    assert (tmp_path / "c.png").exists()
