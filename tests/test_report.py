"""The report of a run against its own files, NumPy, Pillow and a real browser.

Over 300 lines: one page, whose every part is read back in a browser.
"""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from chromium import Browser, chromium
from PIL import Image

from cnnkit import cli
from cnnkit.config.task import Task
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.io.atomic import write_json
from cnnkit.plots.style import INK, new_figure
from cnnkit.prediction.evaluate_run import evaluate_run
from cnnkit.report.examples import informative_examples, percent
from cnnkit.report.metrics import confusion_for_page
from cnnkit.report.pictures import MOST_POINTS, SIGNAL_HEIGHT, Picture, Signal, render_example
from cnnkit.report.plots import as_svg
from cnnkit.report.write import write_report
from cnnkit.runs.reopen import reopened
from cnnkit.training.prepare import prepare
from cnnkit.training.run import train

RANDOM = np.random.default_rng(3)
HOSTILE = "<script>alert(1)</script>"

DIGITS = """
name: digits
data: {dataset: digits, validation: 0.2}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers: [{Conv2D: {filters: 4, kernel_size: 3, activation: relu}}, Flatten, {Dense: {units: 10, activation: softmax}}]
train: {epochs: 2, metrics: [accuracy]}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Page(HTMLParser):
    """What stands in a page: its tables as rows of words, its elements, its pictures' descriptions."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.tags, self.alts, self._in_cell = "", [], [], False
        self.tables: list[list[list[str]]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.alts.append(dict(attributes)["alt"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    def table(self, *head: str) -> list[list[str]]:
        return next(table[1:] for table in self.tables if table[0][: len(head)] == list(head))

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def small_run(folder: Path, x: Any, y: Any, units: int, activation: str | None, *, dense: bool = False, **arrays: Any) -> Path:
    """A run of an untrained network on arrays, of which half are the test set."""
    folder.mkdir()
    np.savez(folder / "data.npz", x=x, y=y, **arrays)
    run = folder / "run"
    run.mkdir()
    options = arrays.pop("options", "test: 0.5")
    keras.utils.set_random_seed(1)
    convolution = (keras.layers.Conv2D if x.ndim == 4 else keras.layers.Conv1D)(4, 3, activation="relu")
    layers = [keras.layers.Flatten()] if dense else [convolution, keras.layers.Flatten()]
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers, keras.layers.Dense(units, activation)])
    model.save(run / "model.keras")
    (run / "config.yaml").write_text(f"data: {{npz: {folder / 'data.npz'}, validation: 0.1, {options}}}\nmodel: {{layers: [Flatten]}}\n")
    with reopened(run / "model.keras") as opened:
        task = opened.metadata.task
    metadata = {"data": "data.npz", "stand_in_for": "", "task": {"kind": task.kind, "names": task.names}, "notices": []}
    write_json(run / "model.json", metadata)
    write_json(run / "environment.json", {"state": "finished", "seed": 42, "data": {"name": "data.npz", "train": 3}})
    return run


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "digits.yaml").write_text(DIGITS)
    train(prepare(load([folder / "digits.yaml"], ()), folder / "digits run"), Silent())
    write_report(folder / "digits run")
    return folder / "digits run"


@pytest.fixture(scope="module")
def page(digits: Path) -> Page:
    return Page(digits / "report.html")


def test_the_figures_are_those_of_metrics_json(digits: Path, page: Page) -> None:
    metrics = json.loads((digits / "metrics.json").read_text())
    rows = {row[0]: row[1:] for row in page.table("metric", "value")}
    low, high = metrics["intervals"]["accuracy"].values()
    assert rows["accuracy"] == [f"{metrics['accuracy']:.4f}", f"{low:.4f} – {high:.4f}"]
    assert rows["log loss"][0] == f"{metrics['log_loss']:.4f}"
    assert rows["top-3 accuracy"][0] == f"{metrics['top_k_accuracy']['3']:.4f}"
    assert f"accuracy {metrics['accuracy']:.4f} 95 % interval {low:.4f} – {high:.4f} test set of digits" in page.words
    keys = ("precision", "recall", "f1", "roc_auc", "average_precision")
    wanted = [[row["name"], f"{row['support']:,}", *(f"{row[key]:.4f}" for key in keys)] for row in metrics["classes"]]
    assert page.table("name", "examples") == wanted


def test_the_confusion_matrix_is_that_of_metrics_json(digits: Path, page: Page) -> None:
    confusion = json.loads((digits / "metrics.json").read_text())["confusion"]
    rows = page.table("", "0", "1")
    shares = np.array(confusion) / np.sum(confusion, axis=1, keepdims=True)
    wanted = [[f"{n}{percent(share)}" if n else "" for n, share in zip(*pair, strict=True)] for pair in zip(confusion, shares, strict=True)]
    assert [row[1:] for row in rows] == wanted
    assert len(rows) == 10
    worst = page.table("true", "predicted")[0]
    wrong = np.array(confusion) * (1 - np.eye(10, dtype=int))
    assert worst[2] == str(wrong.max())
    assert wrong[int(worst[0]), int(worst[1])] == wrong.max()


def test_the_examples_are_those_of_numpys_argsort(digits: Path, page: Page) -> None:
    with reopened(digits) as run:
        examples = run.held_out[1]
        inputs, targets = examples.rows.read(examples.index), examples.targets
    given = keras.saving.load_model(digits / "model.keras").predict(inputs, verbose=0).astype(float)
    sure, right = given.max(axis=1), given.argmax(axis=1) == targets
    places = np.arange(len(targets))
    mistakes = places[~right][np.argsort(-sure[~right], kind="stable")][:12]
    hits = places[right][np.argsort(sure[right], kind="stable")][:12]
    assert [alt for alt in page.alts if alt.startswith("example")] == [f"example {i}" for i in [*mistakes, *hits]]
    first = mistakes[0]
    answer = given[first].argmax()
    words = f"predicted{answer} {percent(given[first, answer])}true{targets[first]} {percent(given[first, targets[first]])}"
    assert words.replace(" ", "") in page.words.replace(" ", "")


def test_the_page_runs_and_fetches_nothing(page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    fetched = re.findall(r"""\b(?:src|srcset|href|action|poster|data)\s*=\s*["']?([^"'\s>]*)""", page.source)
    assert len(fetched) > 50
    assert [each for each in fetched if not re.match(r"data:image/(png|jpeg);base64,|#", each)] == []
    assert re.findall(r"url\((?!#)[^)]*\)|@import|https?:", page.source) == []
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.source


def test_names_of_any_kind_are_inert_and_visible(tmp_path: Path) -> None:
    x = RANDOM.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    names = np.array([HOSTILE, "a\u202eb"])
    run = small_run(tmp_path / "<b>&amp;", x, np.arange(40) % 2, 1, "sigmoid", class_names=names)
    (run / "history.csv").write_text('epoch,"<img src=x onerror=alert(1)>"\n1,0.5\n2,0.25\n')
    (run / "config.yaml").write_text(f"{(run / 'config.yaml').read_text()}# {HOSTILE}\n")
    write_json(run / "environment.json", {"state": HOSTILE, "platform": HOSTILE, "started": HOSTILE, "data": {"name": HOSTILE}})
    page = Page(write_report(run))
    assert "script" not in page.tags
    assert all(alt.startswith(("example", "Grad-CAM heatmap")) for alt in page.alts)
    assert "\u202e" not in page.source
    assert "a\\u202eb" in page.text
    assert [row[0] for row in page.table("name", "examples")] == [HOSTILE, "a\\u202eb"]
    assert "<img src=x onerror=alert(1)>" in page.text


def test_of_labels_the_surest_wrong_one_counts_and_the_least_sure_right_one() -> None:
    task = Task("multilabel", ("rain", "snow", "wind"))
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]])
    predictions = np.array([[0.9, 0.8, 0.1], [0.02, 0.4, 0.3], [0.9, 0.8, 0.55], [0.1, 0.2, 0.49]])
    mistakes, hits = informative_examples(targets, predictions, task)
    assert [(each.position, each.output) for each in mistakes.choices] == [(0, 1), (1, 1)]
    assert mistakes.choices[0].lines == (("predicted", "snow", "80.0%"), ("true", "rain", ""))
    assert mistakes.choices[1].lines == (("not predicted", "snow", "40.0%"), ("true", "snow", ""))
    assert [(each.position, each.output) for each in hits.choices] == [(3, 2), (2, 2)]
    assert hits.choices[0].lines == (("not predicted", "wind", "49.0%"), ("true", "none", ""))


def test_of_numbers_the_largest_error_in_spreads_comes_first() -> None:
    targets = np.array([[0.0, 0], [2, 2000], [4, 4000]])
    predictions = np.array([[0.1, 0], [2, 4000], [1, 4000]])
    worst, best = informative_examples(targets, predictions, Task("regression", ("width, cm", "price, €")), 2)
    spread = targets.std(axis=0)
    wanted = np.argsort(np.mean(np.abs(predictions - targets) / spread, axis=1))
    assert [each.position for each in best.choices] == wanted[:2].tolist()
    assert [each.position for each in worst.choices] == wanted[::-1][:2].tolist()
    assert worst.choices[0].lines == (("number", "width, cm", ""), ("predicted", "1", ""), ("true", "4", "-3"))


@pytest.mark.parametrize(("share", "words"), [(1, "100%"), (0.99951, ">99.9%"), (0.5, "50.0%"), (0.0001, "<0.1%"), (0, "0%")])
def test_a_probability_in_words_is_never_rounded_to_certainty(share: float, words: str) -> None:
    assert percent(share) == words


def test_a_picture_in_the_page_is_the_example_pixel_by_pixel() -> None:
    example = RANDOM.integers(0, 256, (8, 6, 3)).astype(np.uint8)
    shown = render_example(example, np.array([[0, 1], [0, 0]], np.float32))
    assert isinstance(shown, Picture)
    np.testing.assert_array_equal(decoded(shown.plain), example)
    heatmap = decoded(shown.heatmap).astype(int).sum(axis=2)
    rows, columns = (size // 2 for size in heatmap.shape)
    assert heatmap[:rows, columns:].mean() > heatmap[rows:, :columns].mean() + 100
    large = render_example(RANDOM.integers(0, 256, (600, 300, 3)).astype(np.uint8), None)
    assert isinstance(large, Picture)
    assert decoded(large.plain).shape == (256, 128, 3)


def test_shares_of_white_and_the_middle_slice_of_a_volume_are_pictures_in_the_page() -> None:
    share = np.linspace(0, 1, 8 * 6 * 1, dtype=np.float32).reshape(8, 6, 1)
    shown = render_example(share, None)
    assert isinstance(shown, Picture)
    np.testing.assert_array_equal(decoded(shown.plain), np.rint(share[..., 0] * 255))
    volume = RANDOM.integers(0, 256, (5, 8, 6, 1)).astype(np.uint8)
    heatmap = np.zeros((3, 2, 2), np.float32)
    heatmap[1, 0, 1] = 1  # in the middle slice, above on the right
    shown = render_example(volume, heatmap)
    assert isinstance(shown, Picture)
    np.testing.assert_array_equal(decoded(shown.plain), volume[2, ..., 0])
    heat = decoded(shown.heatmap).astype(int).sum(axis=2)
    rows, columns = (size // 2 for size in heat.shape)
    assert heat[:rows, columns:].mean() > heat[rows:, :columns].mean() + 100


def decoded(uri: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))))


def test_a_long_signal_keeps_its_peaks() -> None:
    signal = np.zeros((100_000, 1), np.float32)
    signal[54_321], signal[77_777] = 1, -1
    shown = render_example(signal, np.array([0, 1], np.float32))
    assert isinstance(shown, Signal)
    heights = [float(point.split(",")[1]) for point in shown.lines[0].split()]
    assert len(heights) <= MOST_POINTS
    assert (min(heights), max(heights)) == (4, SIGNAL_HEIGHT - 4)
    assert shown.stripes[0][2] == 0
    assert shown.stripes[-1][2] == 1


def test_many_classes_become_a_picture_of_a_pixel_a_cell() -> None:
    counts = RANDOM.integers(0, 5, (100, 100))
    counts[7] = 0
    confusion = confusion_for_page(counts, [str(i) for i in range(100)])
    pixels = decoded(confusion.picture)
    assert confusion.cells == ()
    assert pixels.shape == (100, 100, 4)
    assert (pixels[7, :, 3] == 0).all()
    share = counts[3, 4] / counts[3].sum()
    assert pixels[3, 4, 3] == round(255 * share**0.6)
    assert pixels[3, 4, :3].tolist() == [0xE1, 0x6F, 0x24]
    assert pixels[3, 3, :3].tolist() == [0x1F, 0x6F, 0xEB]


def test_a_plot_takes_the_colours_of_the_page() -> None:
    figure = new_figure(2, 2)
    figure.add_subplot().set_title("$5 <b>", color=INK)
    svg = as_svg(figure, "a", 'a "plot"')
    assert "var(--ink)" in svg
    assert not {INK, "#ffffff", "DejaVu", "<style", "<b>", "http"} & set(re.findall(r"#[0-9a-f]{6}|DejaVu|<style|<b>|http", svg))
    assert "$5 &lt;b&gt;" in svg
    assert 'aria-label="a &#34;plot&#34;"' in svg


def test_signals_numbers_and_labels_have_their_own_pages(tmp_path: Path) -> None:
    signals = RANDOM.normal(size=(40, 30, 2)).astype(np.float32)
    run = small_run(tmp_path / "signals", signals, np.arange(40) % 3, 3, "softmax")
    page = Page(write_report(run))
    right = round(20 * evaluate_run(run, None)[0].metrics.as_dict()["accuracy"])
    assert page.tags.count("polyline") == 2 * (min(12, right) + min(12, 20 - right))
    assert "In orange: the positions that support" in page.text
    pictures = RANDOM.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    run = small_run(tmp_path / "numbers", pictures, RANDOM.normal(size=40).astype(np.float32), 1, None)
    page = Page(write_report(run))
    mae = evaluate_run(run, None)[0].metrics.as_dict()["targets"][0]["mae"]
    assert page.table("metric", "value")[0][:2] == ["MAE", f"{mae:.3f}"]
    assert "Worst predictions" in page.text
    run = small_run(tmp_path / "labels", pictures, RANDOM.integers(0, 2, (40, 3)).astype(np.float32), 3, "sigmoid")
    page = Page(write_report(run))
    assert page.table("metric", "value")[0][0] == "macro F1"
    assert len(page.table("name", "examples")) == 3


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    pictures = RANDOM.integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    run = small_run(tmp_path / "dense", pictures, np.arange(40) % 2, 2, "softmax", dense=True)
    (run / "environment.json").write_text('{"state": "interrupted"')
    page = Page(write_report(run))
    assert "Without heatmaps: the network has no convolution to explain." in page.words
    assert "history.csv: is missing, so how the run learned is not known" in page.words
    assert "Environment.json is damaged." in page.words
    (run / "config.yaml").write_text(
        f"data: {{npz: {tmp_path / 'dense' / 'data.npz'}, test: 0, validation: 0}}\nmodel: {{layers: [Flatten]}}\n"
    )
    page = Page(write_report(run))
    assert "data: has no test examples to measure on" in page.words


def test_without_its_data_a_run_shows_the_figures_it_ended_with(digits: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    (run / "config.yaml").write_text("data: {folder: gone}\nmodel: {layers: [Flatten]}\n")
    metrics = json.loads((run / "metrics.json").read_text())
    page = Page(write_report(run))
    assert page.table("metric", "value")[0][1] == f"{metrics['accuracy']:.4f}"
    assert "The run's data could not be read again; the metrics are those of metrics.json." in page.words
    (run / "metrics.json").write_text('{"accuracy": 1}')
    assert "There is no evaluation." in Page(write_report(run)).words


def test_an_interrupted_run_and_a_stand_in_say_so(digits: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    environment = json.loads((run / "environment.json").read_text())
    write_json(run / "environment.json", {**environment, "state": "interrupted"})
    metadata = json.loads((run / "model.json").read_text())
    write_json(run / "model.json", {**metadata, "stand_in_for": "mnist"})
    (run / "config.yaml").write_text("data: {folder: gone}\nmodel: {layers: [Flatten]}\n")
    words = Page(write_report(run)).words
    assert "This run was interrupted: everything here is of the network at that time." in words
    assert "Measured on digits, a stand-in: mnist could not be had." in words


def test_a_probe_that_is_there_is_shown_and_a_damaged_one_is_said(digits: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    curve = {"name": "shift", "unit": "pixels", "strengths": [0, 1], "values": [0.9, 0.7], "clean": 0, "in_ratios": False, "area": 0.8889}
    probe = {"run": "run", "measured_on": "test set of digits", "examples": 7, "figure": "accuracy", "clean": 0.9, "lower_is_better": False}
    write_json(run / "probe.json", {**probe, "curves": [curve], "padding": ""})
    page = Page(write_report(run))
    assert page.table("corruption", "unit") == [["shift", "pixels", "0", "1", "0.8889"]]
    assert "(7 of the test set of digits)" in page.words
    write_json(run / "probe.json", {"curves": 3})
    assert "probe.json: is damaged (TypeError)" in Page(write_report(run)).words


def test_phases_and_what_is_frozen_stand_beside_the_network(digits: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(digits, tmp_path / "run"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(f"{config.rstrip()}\n  phases: [{{train: last 1, epochs: 3}}, {{train: all}}]\n")
    model = keras.saving.load_model(run / "model.keras")
    model.get_layer("conv2d").trainable = False
    model.save(run / "model.keras")
    write_json(run / "probe.json", {"curves": 3})  # spares the time of a probe
    page = Page(write_report(run))
    assert page.table("phase", "trains") == [["1", "last 1", "3"], ["2", "all", "2"]]
    states = {row[0]: row[4] for row in page.table("layer", "type", "output", "parameters", "state")}
    assert (states["conv2d"], states["dense"]) == ("frozen", "trained")


def test_without_a_probe_some_examples_are_probed(page: Page) -> None:
    assert "(500 of the test set of digits)" in page.words or "(360 of the test set of digits)" in page.words
    assert [row[0] for row in page.table("corruption", "unit")][:2] == ["shift", "rotation"]


def test_a_run_that_is_not_there_or_has_no_model_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cnnkit", "report", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: nowhere: no such run\n    See which there are: `cnnkit runs`.\n"
    with pytest.raises(CnnkitError) as refusal:
        write_report(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path}: has no model.keras, so it is not a run that got to its end\n    Train it again, or name another run."
    )


def test_the_file_goes_where_it_is_wanted(digits: Path, tmp_path: Path) -> None:
    missing = tmp_path / "gone" / "r.html"
    with pytest.raises(CnnkitError) as refusal:
        write_report(digits, missing)
    assert str(refusal.value) == f"{missing}: there is no folder {missing.parent}\n    Make it, or name another --output."


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium here: `apt-get install chromium` to test the page in a browser")
@pytest.mark.slow
def test_in_a_browser_it_opens_fast_fits_a_phone_and_follows_the_scheme(digits: Path, tmp_path: Path) -> None:
    path = digits / "report.html"
    assert path.stat().st_size < 5e6
    grounds = {}
    with Browser() as browser:
        for width, scheme in ((1280, "light"), (390, "light"), (390, "dark")):
            seconds = browser.open(path, width, scheme=scheme)
            timing = browser.value("performance.timing.loadEventEnd - performance.timing.navigationStart") / 1000
            assert min(seconds, timing) < 2
            assert browser.value("document.documentElement.scrollWidth") <= width
            assert browser.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
            grounds[scheme] = browser.value("getComputedStyle(document.body).backgroundColor")
            browser.value("for (const name of document.querySelectorAll('.examples dd b')) name.textContent = 'automobile'")
            heights = browser.value("[...document.querySelectorAll('.examples dd')].map(each => each.offsetHeight)")
            assert len(heights) > 12
            assert max(heights) < 25  # name and probability on one line
        assert browser.value("document.querySelectorAll('figure svg').length") >= 4
    assert browser.complaints == []
    assert grounds == {"light": "rgb(245, 246, 248)", "dark": "rgb(13, 17, 23)"}
