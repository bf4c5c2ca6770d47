"""What init decides from the data and its measurements: splits, scale, groups, fine-tuning, and what fits a time."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest, skew

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.evaluation.wilson import wilson_interval
from cnnkit.experiments.starter.data_summary import DataSummary, is_skewed, summarize_data
from cnnkit.experiments.starter.held_out import HeldOut, choose_held_out, precision_text
from cnnkit.experiments.starter.linear_head import OutOfFold, penalty
from cnnkit.experiments.starter.measure import Measurements, SizeScore, SplitCounts
from cnnkit.experiments.starter.time_budget import EPOCH, STARTING, parse_time, time_text
from cnnkit.experiments.starter.transfer_recipe import HEAD_STEP, TransferRecipe, decide, expected_time, within_budget
from cnnkit.experiments.starter.write import Options, write_starter

TWO = Task("classification", ("a", "b"))


def summary_of(count: int, **own_splits: int) -> DataSummary:
    return DataSummary("folder", {}, DataSpec("d", (32, 32, 3), TWO), True, 32, count, 1.0, own_splits, "", False)


def held_out_of(train: int, validation: int = 100, test: int = 100) -> HeldOut:
    return HeldOut(0.15, 0.15, train, validation, test)


def measured_with(score: float, seconds: float = 0.02, flips: dict[str, tuple[float, bool]] | None = None) -> Measurements:
    sizes = tuple(
        SizeScore(
            side,
            OutOfFold(np.full(100, loss), np.array([1.0] * round(score * 100) + [0.0] * round(100 - score * 100)), np.zeros(0), 0.1),
            at,
        )
        for side, loss, at in ((160, 0.3, seconds / 2), (224, 0.2, seconds), (288, 0.25, seconds * 2))
    )
    return Measurements(100, sizes, sizes[1], flips or {}, SplitCounts(1000, 100, 100, 0))


@pytest.mark.parametrize(("right", "count"), [(35, 37), (0, 10), (10, 10), (140, 153)])
def test_the_interval_is_that_of_wilson(right: int, count: int) -> None:
    reference = binomtest(right, count).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(right / count, count)
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=1e-6)


def test_targets_are_skewed_by_their_fisher_pearson_coefficient() -> None:
    random = np.random.default_rng(0)
    prices, ages = random.lognormal(12, 0.8, (500, 1)), random.normal(40, 5, (500, 1))
    assert skew(prices)[0] > 1 > skew(ages)[0]
    assert is_skewed(prices)
    assert not is_skewed(ages)
    assert not is_skewed(prices - prices.min())  # 0 has no logarithm
    assert not is_skewed(np.concatenate([prices, ages], axis=1))
    assert not is_skewed(np.full((80, 1), 5.0))
    assert not is_skewed(np.where(np.arange(100) % 20 == 0, 1000, 10)[:, None])  # the logarithm is as skewed


@pytest.mark.parametrize(
    ("count", "own", "shares", "counts"),
    [
        (1000, {}, (0.15, 0.15), (722, 128, 150)),
        (398, {"validation": 153}, (None, 0.0), (245, 153, 0)),
        (3000, {"validation": 500}, (None, 0.15), (2125, 500, 375)),
        (1000, {"test": 200}, (0.15, None), (680, 120, 200)),
        (1000, {"validation": 100, "test": 200}, (None, None), (700, 100, 200)),
    ],
)
def test_what_is_held_out_depends_on_the_splits_that_the_data_brings(
    count: int, own: dict[str, int], shares: tuple[float | None, float | None], counts: tuple[int, int, int]
) -> None:
    held_out = choose_held_out(summary_of(count, **own))
    assert (held_out.validation, held_out.test) == shares
    assert (held_out.train_count, held_out.validation_count, held_out.test_count) == counts


def test_few_examples_to_measure_on_are_told_with_the_interval_and_the_folds() -> None:
    text = precision_text(choose_held_out(summary_of(398, validation=153)), 0.95, "ants.yaml")
    low, high = binomtest(145, 153).proportion_ci(0.95, method="wilson")
    assert text == (
        f"The final metrics are of 153 validation examples: an accuracy of 0.95 on so few has a 95 % interval of {low:.2f} … {high:.2f}. "
        "`cnnkit train ants.yaml --folds 5` measures on 398 examples."
    )
    assert not precision_text(choose_held_out(summary_of(4000)), 0.95, "many.yaml")
    assert precision_text(choose_held_out(summary_of(1000)), 0.95, "c.yaml").endswith("`--folds 5` measures on 1,000 examples."[1:])
    own = precision_text(choose_held_out(summary_of(1000, test=200)), 0.95, "c.yaml")
    assert own.endswith("--folds 5` measures on 800 examples.")  # the data's own test examples are in no fold
    assert "--folds 3`" in precision_text(choose_held_out(summary_of(398, validation=153)), 0.95, "c.yaml", most_folds=3)
    assert "--folds" not in precision_text(choose_held_out(summary_of(398, validation=153)), 0.95, "c.yaml", most_folds=1)


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("90s", 90), ("1h30m", 5400), ("2.5 minutes", 150), ("1 h 5 min", 3900)])
def test_a_time_is_read_in_hours_minutes_and_seconds(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["10", "ten minutes", "", "0m", "5 parsecs", "10m later"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CnnkitError) as caught:
        parse_time(text)
    assert caught.value.remedy == "Write it as in `--time 10m`, `90s` or `1h30m`."


def test_times_are_told_to_two_digits() -> None:
    assert [time_text(seconds) for seconds in (1, 40, 89, 100, 3000, 9000, 72000)] == [
        "1 second", "40 seconds", "89 seconds", "2 minutes", "50 minutes", "2.5 hours", "20 hours",
    ]  # fmt: skip


def test_the_base_is_fine_tuned_where_there_are_examples_enough_and_something_to_gain() -> None:
    assert decide(measured_with(0.9), held_out_of(2600), TWO, 32).fine_tune_epochs == 6
    assert not decide(measured_with(0.9), held_out_of(245), TWO, 32).fine_tune_epochs
    assert not decide(measured_with(0.99), held_out_of(2600), TWO, 32).fine_tune_epochs
    assert decide(None, held_out_of(2600), TWO, 32).fine_tune_epochs == 6
    assert decide(measured_with(0.99), held_out_of(2600), TWO, 32, grouped=True).fine_tune_epochs == 6  # of which the sample has both sides
    numbers = Task("regression", ("p",))
    assert decide(measured_with(0.99), held_out_of(2600), numbers, 32).fine_tune_epochs == 6


def test_fine_tuning_takes_no_larger_images_than_the_weights_were_trained_on() -> None:
    measured = measured_with(0.9)
    largest = replace(measured.sizes[2], judged=replace(measured.sizes[2].judged, losses=np.full(100, 0.1)))
    measured = replace(measured, sizes=(*measured.sizes[:2], largest), best=largest)
    assert decide(measured, held_out_of(300), TWO, 16).side == 288
    assert decide(measured, held_out_of(2600), TWO, 32).side == 224


def test_few_examples_are_seen_in_several_augmented_passes_and_many_as_they_are() -> None:
    assert decide(measured_with(0.9), held_out_of(245), TWO, 16).passes == 8
    assert decide(measured_with(0.99), held_out_of(900), TWO, 32).passes == 2
    as_they_are = decide(measured_with(0.99), held_out_of(1500), TWO, 32)
    assert (as_they_are.passes, as_they_are.augments) == (0, False)


def test_size_penalty_and_flips_are_the_measured_ones() -> None:
    recipe = decide(measured_with(0.9, flips={"horizontal": (0.9, True), "vertical": (0.5, False)}), held_out_of(1000), TWO, 32)
    assert (recipe.side, recipe.flips, recipe.flip_mode) == (224, ("horizontal",), "horizontal")
    assert recipe.l2 == pytest.approx(penalty(0.1, 1000, TWO), rel=0.05)
    both = decide(measured_with(0.9, flips={"horizontal": (0.9, True), "vertical": (0.9, True)}), held_out_of(1000), TWO, 32)
    assert both.flip_mode == "horizontal_and_vertical"


RECIPE = TransferRecipe(side=224, l2=0.01, flips=(), passes=1, head_epochs=10, fine_tune_epochs=6, batch=32, steps=40)


def test_the_expected_time_adds_up_what_each_part_takes() -> None:
    parts = expected_time(RECIPE, held_out_of(1280), 0.02, step=3.0).parts
    assert dict(parts) == pytest.approx(
        {
            "starting": STARTING,
            "features": (1280 + 100) * 0.02,
            "head": 10 * (40 * HEAD_STEP + EPOCH),
            "fine-tuning": 6 * (40 * 3.0 + 100 * 0.02 + EPOCH),
            "final metrics": 100 * 0.02,
        }
    )


def test_a_time_shortens_fine_tuning_then_drops_it_then_takes_smaller_images() -> None:
    measured, held_out = measured_with(0.9), held_out_of(1280)

    def within(budget: float) -> TransferRecipe:
        recipe = within_budget(RECIPE, measured, held_out, budget, step=3.0)
        assert expected_time(recipe, held_out, {160: 0.01, 224: 0.02}[recipe.side], {160: 1.5, 224: 3.0}[recipe.side]).seconds <= budget
        return recipe

    assert within(3600) == RECIPE
    assert within(600) == replace(RECIPE, fine_tune_epochs=4)
    assert within(200) == replace(RECIPE, fine_tune_epochs=2, side=160)  # whose steps take half as long
    assert within(90) == replace(RECIPE, fine_tune_epochs=0, passes=0)
    assert within(40) == replace(RECIPE, fine_tune_epochs=0, passes=0, side=160)
    with pytest.raises(CnnkitError) as caught:
        within(20)
    assert str(caught.value) == (
        "--time: 20 seconds is too short: the fastest config takes about 34 seconds on this machine\n"
        "    Allow 41 seconds or more, or use fewer examples."
    )


def test_a_base_that_is_not_fine_tuned_for_lack_of_time_gets_the_augmented_passes_of_one_that_never_is() -> None:
    measured, held_out = measured_with(0.9, seconds=0.001), held_out_of(600)
    recipe = replace(RECIPE, steps=19)
    assert within_budget(recipe, measured, held_out, 60, step=30.0) == replace(recipe, fine_tune_epochs=0, passes=3)


def test_a_time_drops_augmented_passes_of_a_small_data_set() -> None:
    small = replace(RECIPE, passes=8, fine_tune_epochs=0, steps=8)
    within = within_budget(small, measured_with(0.9, seconds=0.1), held_out_of(245), 120, None)
    assert 0 < within.passes < 8


def signals(path: Path, groups: int, **more: np.ndarray) -> Path:
    random = np.random.default_rng(0)
    np.savez(path, x=random.normal(size=(60, 32, 3)).astype(np.float32), y=np.arange(60) % 2, subject=np.arange(60) % groups, **more)
    return path


def test_groups_are_found_by_their_usual_names_in_arrays_and_tables(tmp_path: Path) -> None:
    assert summarize_data(signals(tmp_path / "s.npz", 5), {}).options == {"group": "subject"}
    two = summarize_data(signals(tmp_path / "two.npz", 2), {})
    assert (two.options, two.found_group) == ({}, "")
    assert two.notices[0].startswith("subject has fewer than 3 different values")  # too few to divide into three splits
    assert summarize_data(signals(tmp_path / "one.npz", 1), {}).notices == ()
    starter = write_starter(tmp_path / "two.npz", tmp_path / "two.yaml", Options(measures=False))
    assert any(text.startswith("subject has fewer than 3 different values") for text in starter.advice)
    other = signals(tmp_path / "own.npz", 5, device=np.arange(60) % 4)
    assert summarize_data(other, {"group": "device"}).options == {"group": "device"}
    assert summarize_data(signals(tmp_path / "who.npz", 5), {"target": "subject"}).options == {"target": "subject"}
    x, y = np.zeros((40, 32, 3), np.float32), np.arange(40) % 2
    np.savez(tmp_path / "divided.npz", x_train=x, y_train=y, x_test=x, y_test=y, subject=np.arange(40) % 5)
    assert summarize_data(tmp_path / "divided.npz", {}).options == {}
    (tmp_path / "a.png").write_bytes((Path(__file__).parent / "golden_pixels" / "drawing.png").read_bytes())
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "Patient"], *([["a.png", "ab"[i % 2], f"p{i % 4}"] for i in range(12)])])
    found = summarize_data(tmp_path / "t.csv", {})
    assert (found.found_group, found.options) == ("Patient", {"group": "Patient"})


def test_groups_may_be_whole_floats_in_a_column_and_are_told_where_they_cannot_be_used(tmp_path: Path) -> None:
    x, y = np.zeros((60, 32, 3), np.float32), np.arange(60) % 2
    np.savez(tmp_path / "floats.npz", x=x, y=y, subject=(np.arange(60.0) % 5)[:, None])  # a column as np.loadtxt reads it
    found = summarize_data(tmp_path / "floats.npz", {})
    assert (found.found_group, found.most_folds) == ("subject", 5)
    for name, values in (("few", np.arange(1, 6)), ("shares", np.arange(60) / 7)):
        np.savez(tmp_path / f"{name}.npz", x=x, y=y, subjects=values)
        found = summarize_data(tmp_path / f"{name}.npz", {})
        assert found.options == {}
        assert found.notices == ("subjects is not used to divide the examples by: it is not one word or whole number an example.",)


def test_signals_with_more_channels_than_steps_are_doubted(tmp_path: Path) -> None:
    for shape, doubted in (((28, 28), True), ((9, 128), True), ((128, 9), False), ((28, 28, 1), False)):
        np.savez(tmp_path / "x.npz", x=np.zeros((20, *shape), np.float32), y=np.arange(20) % 2)
        assert any("np.moveaxis(x, 1, -1)" in text for text in summarize_data(tmp_path / "x.npz", {}).notices) is doubted


def test_folds_are_no_more_than_the_examples_of_the_rarest_class(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((40, 32, 3), np.float32), y=np.arange(40) < 3)
    assert summarize_data(tmp_path / "x.npz", {}).most_folds == 3
    x, y = np.zeros((40, 32, 3), np.float32), np.arange(40) < 3
    np.savez(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x, y_test=~y)  # whose test examples are in no fold
    own = summarize_data(tmp_path / "own.npz", {})
    assert (own.most_folds, own.own_splits, own.imbalance) == (3, {"test": 40}, 37 / 3)


@pytest.mark.parametrize("people", [2, 3])
@pytest.mark.parametrize("column", ["person,", "label,split,person"])
def test_a_table_that_predicts_persons_or_is_divided_already_has_no_groups(people: int, column: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((Path(__file__).parent / "golden_pixels" / "drawing.png").read_bytes())
    header = ["path", *column.strip(",").split(",")]
    cells = {"path": "a.png", "split": "train"}
    rows = [[cells.get(name, f"{name}{number % people}") for name in header] for number in range(12)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    found = summarize_data(tmp_path / "t.csv", {})
    assert (found.found_group, found.notices, found.options) == ("", (), {})
    assert len(found.spec.task.names) == people


def test_options_that_the_data_does_not_read_are_refused(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / label / "1.png")
    with pytest.raises(CnnkitError) as caught:
        summarize_data(tmp_path / "photos", {"group": "patient"})
    assert str(caught.value) == (
        f"{tmp_path / 'photos'}: `data.group` goes with `csv` and `npz`, not with `folder`\n"
        "    Leave it out, or list the images in a CSV file."
    )
    with pytest.raises(CnnkitError, match=r"wants one array of targets, got \['y', 'subject'\]"):
        summarize_data(signals(tmp_path / "s.npz", 5), {"target": ["y", "subject"]})
    assert summarize_data(signals(tmp_path / "s.npz", 5), {"target": ["y"]}).spec.task.names == ("0", "1")
