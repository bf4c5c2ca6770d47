"""The block `whiten`: its weights against NumPy, frozen while training, fitted on training images only, never fitted again."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnkit import cli
from cnnkit.data.binding import load
from cnnkit.data.examples import Examples
from cnnkit.data.rows import ArrayRows
from cnnkit.errors import CnnkitError
from cnnkit.model.whitening import whitening_weights
from cnnkit.training import fit as fit_module
from cnnkit.training.prepare import Prepared, prepare
from cnnkit.training.resume import open_interrupted
from cnnkit.training.run import train

CONFIG = """
data: {npz: data.npz, split: split, batch_size: 16}
model:
  preprocess: [{Rescaling: {scale: 1/255}}]
  layers:
    - whiten: {kernel_size: 2, epsilon: 1e-7}
    - Activation: {activation: gelu}
    - GlobalAveragePooling2D
    - Dense: {units: outputs, activation: softmax}
train: {epochs: 4, checkpoint_every: 1, optimizer: {SGD: {learning_rate: 0.5, momentum: 0.9, weight_decay: 0.01}}}
"""


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def images(count: int, low: int, high: int, seed: int = 0) -> np.ndarray:
    """Smooth random images `(count, 9, 8, 3)` uint8: neighbouring pixels and channels are correlated, as in photographs."""
    noise = np.random.default_rng(seed).integers(low, high, (count, 10, 9, 3)).astype(np.float64)
    smooth = (noise[:, 1:, 1:] + noise[:, :-1, 1:] + noise[:, 1:, :-1] + 0.3 * noise[:, :-1, :-1]) / 3.3
    smooth[..., 1] = (2 * smooth[..., 0] + smooth[..., 1]) / 3
    return smooth.astype(np.uint8)


def prepared(folder: Path, *overrides: str, name: str = "run") -> Prepared:
    x = np.concatenate([images(100, 0, 256), images(40, 200, 256, seed=1)])  # other statistics outside of the training examples
    split = np.array(["train"] * 100 + ["validation"] * 20 + ["test"] * 20)
    np.savez(folder / "data.npz", x=x, y=np.arange(140) % 2, split=split)
    (folder / "c.yaml").write_text(CONFIG)
    return prepare(load([folder / "c.yaml"], overrides), folder / name)


def patches_of(pixels: np.ndarray, size: int) -> np.ndarray:
    """All patches, flattened as `(row, column, channel)`: `(n, size * size * channels)`."""
    _, height, width, _ = pixels.shape
    places = [(y, x) for y in range(height - size + 1) for x in range(width - size + 1)]
    return np.concatenate([pixels[:, y : y + size, x : x + size].reshape(len(pixels), -1) for y, x in places])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_whitened_patches_of_the_training_images_have_mean_zero_and_covariance_identity(tmp_path: Path, size: int) -> None:
    model = prepared(tmp_path, f"model.layers[0].whiten.kernel_size={size}").network.model
    layer = model.get_layer("whiten")
    whitened = keras.Model(model.inputs, layer.output).predict(images(100, 0, 256), verbose=0)
    channels = size * size * 3
    assert whitened.shape == (100, 10 - size, 9 - size, 2 * channels)
    outputs = whitened.reshape(-1, 2 * channels).astype(np.float64)
    assert np.allclose(outputs.mean(axis=0), 0, atol=1e-3)
    assert np.allclose(np.cov(outputs[:, :channels], rowvar=False), np.eye(channels), atol=2e-3)
    assert np.allclose(outputs[:, channels:], -outputs[:, :channels], atol=1e-3)  # both signs


def test_the_kernels_are_the_eigenvectors_of_the_covariance_each_divided_by_the_root_of_eigenvalue_plus_epsilon(tmp_path: Path) -> None:
    layer = prepared(tmp_path, "model.layers[0].whiten.epsilon=0.02").network.model.get_layer("whiten")
    covariance = np.cov(patches_of(images(100, 0, 256) / 255, 2), rowvar=False, bias=True)
    kernel = layer.kernel.numpy().reshape(12, 24)[:, :12].astype(np.float64)
    variances = 1 / (kernel**2).sum(axis=0) - 0.02  # a direction has length 1 / sqrt(variance + epsilon)
    assert variances == pytest.approx(np.linalg.eigvalsh(covariance)[::-1], abs=1e-5)
    assert list(variances) == sorted(variances, reverse=True)
    assert np.allclose(covariance @ kernel, kernel * variances, atol=1e-5)


def test_a_direction_in_which_patches_do_not_vary_stays_finite() -> None:
    kernel, bias = whitening_weights(np.array([3.0, 5.0]), np.diag([4.0, 0.0]), 1e-4)
    assert kernel[:, :2] == pytest.approx(np.diag([0.5, 100.0]), abs=1e-3)
    assert bias == pytest.approx([-1.5, -500, 1.5, 500], rel=1e-3)


@pytest.mark.parametrize(("option", "trained_in"), [("", (1, 2, 3, 4)), ("3", (1, 2, 3)), ("0", ())], ids=["always", "three", "never"])
@pytest.mark.parametrize("optimizer", ["", "train.optimizer={Adam: {use_ema: true, weight_decay: 0.1}}"], ids=["sgd", "adam-ema"])
def test_kernels_never_change_and_biases_do_in_their_epochs_only(
    tmp_path: Path, option: str, trained_in: tuple[int, ...], optimizer: str
) -> None:
    overrides = [f"model.layers[0].whiten.bias_epochs={option}"] if option else []
    run = prepared(tmp_path, *overrides, *([optimizer] if optimizer else []))
    layer = run.network.model.get_layer("whiten")
    kernel, biases = layer.kernel.numpy(), [layer.bias.numpy()]

    class Watching(Silent):
        def on_epoch(self, row: Any) -> None:
            assert np.array_equal(layer.kernel.numpy(), kernel)
            biases.append(layer.bias.numpy())

    train(run, Watching())
    changed = tuple(epoch for epoch in range(1, 5) if not np.array_equal(biases[epoch], biases[epoch - 1]))
    assert changed == trained_in
    saved = keras.saving.load_model(tmp_path / "run" / "model.keras")
    assert np.array_equal(saved.get_layer("whiten").kernel.numpy(), kernel)
    assert type(saved.get_layer("whiten")) is keras.layers.Conv2D  # a plain layer of Keras, loaded without cnnkit


def test_phases_leave_the_kernels_frozen(tmp_path: Path) -> None:
    phases = "train.phases=[{train: last 1, epochs: 1}, {train: all, epochs: 1}, {train: all, epochs: 1}]"
    run = prepared(tmp_path, phases, "model.layers[0].whiten.bias_epochs=2")
    layer = run.network.model.get_layer("whiten")
    kernel, biases = layer.kernel.numpy(), [layer.bias.numpy()]

    class Watching(Silent):
        def on_epoch(self, row: Any) -> None:
            biases.append(layer.bias.numpy())

    train(run, Watching())
    assert np.array_equal(layer.kernel.numpy(), kernel)
    same = [np.array_equal(before, after) for before, after in itertools.pairwise(biases)]
    assert same == [True, False, True]  # phase 1 trains the last layer alone; the epochs of all phases count


def test_a_resumed_run_is_not_fitted_again_and_ends_as_the_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "FIRST_STEPS", 2)
    monkeypatch.setattr(fit_module, "SECONDS_PER_EXECUTION", 0.0)
    bias_epochs = "model.layers[0].whiten.bias_epochs=2"
    train(prepared(tmp_path, bias_epochs, name="whole"), Silent())
    expected = keras.saving.load_model(tmp_path / "whole" / "model.keras").get_weights()
    stops = iter([6, 9, 10**9])  # executions: within an epoch before and after the biases are frozen
    run = prepared(tmp_path, bias_epochs)
    resumes = 0
    while train_until(run, next(stops), monkeypatch):
        monkeypatch.setattr("cnnkit.model.whitening.whitening_weights", lambda *arguments: pytest.fail("fitted again"))
        resumed = open_interrupted(tmp_path / "run", [], [], None, force=False)
        run = prepare(resumed.loaded, None, resumed=resumed)
        resumes += 1
    assert resumes == 2
    actual = keras.saving.load_model(tmp_path / "run" / "model.keras").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(actual, expected, strict=True))
    histories = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("whole", "run")]
    assert [row.split(",")[:5] for row in histories[0]] == [row.split(",")[:5] for row in histories[1]]


def train_until(run: Prepared, executions: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Train until a stop after some executions; whether it was stopped."""

    class Stop:
        left, exit_status = executions, 143

        def __call__(self) -> bool:
            self.left -= 1
            return self.left < 0

    monkeypatch.setattr("cnnkit.training.run.stop_requests", lambda: contextlib.nullcontext(Stop()))
    return train(run, Silent()).history.interrupted


def test_all_workers_use_the_weights_of_the_first(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    whitening, layer = run.network.whitening, run.network.model.get_layer("whiten")
    assert whitening is not None
    expected = [weight.numpy() for weight in layer.weights]
    whitening.fit(run.network.model, run.dataset.train, lambda weights: 2 * weights)
    assert all(np.allclose(weight.numpy(), 2 * each) for weight, each in zip(layer.weights, expected, strict=True))


def test_the_summary_counts_the_kernels_as_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path)
    monkeypatch.setattr("sys.argv", ["cnnkit", "summary", str(tmp_path / "c.yaml"), "--json"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    summary = json.loads(capsys.readouterr().out)
    (row,) = [each for each in summary["rows"] if each["name"] == "whiten"]
    assert (row["parameters"], row["trainable_parameters"]) == (2 * 2 * 3 * 24 + 24, 24)
    assert summary["non_trainable_parameters"] == 288


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "[{Conv2D: {filters: 4, kernel_size: 1}}, whiten, Flatten, {Dense: {units: 10}}]",
            (
                "model.layers[1]: is fitted before training, but conv2d before it has weights, which training changes\n"
                "    Make it the first layer with weights."
            ),
        ),
        (
            "[Flatten, whiten, {Dense: {units: 10}}]",
            (
                "model.layers[1]: whitens patches of images (height, width, channels), but the incoming is (64,)\n"
                "    Put it at the beginning of a network for images."
            ),
        ),
        (
            "[whiten, whiten, Flatten, {Dense: {units: 10}}]",
            "model.layers[1]: the model already has a layer called 'whiten'\n    Give each layer a name of its own, or none.",
        ),
        ("[{whiten: {kernel_size: 9}}, Flatten, {Dense: {units: 10}}]", "model.layers[0].whiten.kernel_size: wants at most 8, got 9"),
        ("[whitn, Flatten, {Dense: {units: 10}}]", "model.layers[0]: unknown block 'whitn'. Did you mean 'whiten'?"),
    ],
)
def test_a_block_in_the_wrong_place_is_told(tmp_path: Path, layers: str, message: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{dataset: digits}}\nmodel: {{layers: {layers.replace('10}', '10, activation: softmax}')}}}\n")
    with pytest.raises(CnnkitError) as caught:
        prepare(load([config]), tmp_path / "run")
    assert message in str(caught.value)
    assert f"{config}:2:" in str(caught.value)


def test_preprocessing_that_is_trained_may_not_come_before_it(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    model = "{preprocess: [PREPROCESS, whiten], layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}"
    config.write_text(f"data: {{dataset: digits}}\nmodel: {model}\n".replace("PREPROCESS", "{Conv2D: {filters: 2, kernel_size: 1}}"))
    with pytest.raises(CnnkitError, match="is fitted before training, but conv2d before it has weights, which training changes"):
        prepare(load([config]), tmp_path / "run")
    config.write_text(config.read_text().replace("{Conv2D: {filters: 2, kernel_size: 1}}", "{Normalization: {mean: 8.0, variance: 30.0}}"))
    prepare(load([config]), tmp_path / "run").lock.release()


def test_training_images_that_are_not_finite_are_told(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    assert run.network.whitening is not None
    broken = Examples(ArrayRows(np.full((4, 9, 8, 3), np.nan, np.float32)), np.arange(4), np.zeros(4, np.int64))
    with pytest.raises(CnnkitError, match="some of their values are not finite"):
        run.network.whitening.fit(run.network.model, broken, lambda weights: weights)
