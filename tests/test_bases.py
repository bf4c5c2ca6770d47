"""Pretrained bases: what the installed Keras has, pixels prepared as Keras prepares them, and files that are checked before use.

Over 300 lines: `bases`, weights files and the summary over a base share its fixtures.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image

from cnnkit import cli
from cnnkit.config.schema import Model
from cnnkit.keras_api.signatures import signature_table
from cnnkit.model import bases
from cnnkit.model.base import PACKAGED_WEIGHTS, apply_base, preferred_size

NAMES = sorted(signature_table().objects["applications"])
PHOTOGRAPH = load_sample_image("flower.jpg")[100:260, 200:400]  # (160, 200, 3), uint8


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cnnkit", *arguments])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    return int(exit_status.value.code or 0)


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: str) -> str:
    """What `cnnkit check` writes to standard error of a config with this base, paths below the folder left out."""
    (folder / "c.yaml").write_text(f"data: {{dataset: digits}}\nmodel:\n  image_size: 64\n  base: {base}\n")
    monkeypatch.chdir(folder)
    run(monkeypatch, "check", "c.yaml")
    return capsys.readouterr().err.replace(f"{folder}/", "")


def test_the_bases_are_those_of_the_installed_keras_each_with_its_published_accuracy() -> None:
    stored = json.loads(bases.TOP1.read_text())
    assert list(stored["top1_percent"]) == NAMES
    for name, accuracy in stored["top1_percent"].items():
        if name.startswith("MobileNetV3"):
            size = name.removeprefix("MobileNetV3").lower()
            row = next(line for line in getattr(keras.applications, name).__doc__.splitlines() if f"mobilenet_v3_{size}_1.0_224" in line)
            assert float(row.split("|")[4]) == accuracy
        else:
            assert 70 < accuracy < 87
    assert "keras.io/api/applications" in stored["source"]


@pytest.mark.parametrize(
    ("name", "smallest", "preprocessing", "weights_file"),
    [
        ("MobileNetV2", 32, "-1 to 1", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("VGG16", 32, "BGR, centred", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        ("EfficientNetB0", 32, "built in", "efficientnetb0_notop.h5"),
        ("Xception", 71, "-1 to 1", "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        pytest.param("DenseNet121", 32, "standardized", "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5", marks=pytest.mark.slow),
    ],
)
def test_what_is_told_of_a_base_is_what_keras_builds(name: str, smallest: int, preprocessing: str, weights_file: str) -> None:
    found = bases._introspect_base(name)
    plain = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(smallest, smallest, 3))
    assert (found.parameters, found.weights_file, found.preprocessing) == (plain.count_params(), weights_file, preprocessing)
    assert found.weight_bytes == sum(weight.numpy().nbytes for weight in plain.weights)
    assert found.smallest == smallest
    with pytest.raises(ValueError, match="Input size must be at least"):
        getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(smallest - 1, smallest - 1, 3))
    assert keras.Model.load_weights.__qualname__ == "Model.load_weights"  # what introspection replaced is back


def test_a_base_is_in_inference_mode_where_nobody_states_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """`keras.saving.load_model("model.keras")(pixels)`: Resizing is in training mode by default, and the base's Dropout followed it."""

    def with_dropout(entry: Any, shape: tuple[int, ...]) -> tuple[keras.Model, tuple[str, ...]]:
        inside = keras.Input(shape)
        return keras.Model(inside, keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 1))(inside)), ()

    monkeypatch.setattr("cnnkit.model.base.load_base", with_dropout)
    inputs = keras.Input((5, 4, 3))
    applied = apply_base(Model.model_validate({"base": {"EfficientNetB0": {"weights": "none"}}, "image_size": 64}), inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(applied.features))
    pixels = np.full((20, 5, 4, 3), 100.0, np.float32)
    assert np.ptp(np.asarray(model(pixels))) == 0.0
    assert np.ptp(np.asarray(model(pixels, training=True))) > 0.0


def test_weights_take_a_few_percent_more_on_disk_than_in_memory() -> None:
    plain = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    in_memory = sum(weight.numpy().nbytes for weight in plain.weights)
    assert in_memory < PACKAGED_WEIGHTS.stat().st_size < 1.3 * in_memory  # 30 % for the smallest: 200 headers


def test_bases_are_listed_from_the_cache_and_found_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [bases._introspect_base(name) for name in ("VGG16", "MobileNetV2", "MobileNetV3Small")]
    looked = []

    def introspect(on_progress: Any) -> list[bases.Base]:
        looked.append(1)
        return entries

    monkeypatch.setattr(bases, "_introspect", introspect)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "home/models").mkdir(parents=True)
    weights = tmp_path / "home/models" / entries[0].weights_file
    weights.write_bytes(b"")
    assert run(monkeypatch, "bases", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(b["name"], b["weights"], b["packaged"] is not None, b["top1_percent"]) for b in listed] == [
        ("MobileNetV3Small", None, False, 68.1),
        ("MobileNetV2", None, True, 71.3),
        ("VGG16", str(weights), False, 71.3),
    ]
    assert run(monkeypatch, "bases") == 0
    table = capsys.readouterr().out
    assert looked == [1]
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line.startswith((" VGG", " Mobile"))}
    assert rows["VGG16"] == ["VGG16", "14.7", "M", "56", "32·224", "BGR,", "centred", "71.3", "here"]
    assert rows["MobileNetV2"][-2:] == ["71.3", "packaged"]
    next((tmp_path / "cache").rglob("*.json")).write_text('[{"name": "cut sho')
    assert run(monkeypatch, "bases") == 0
    assert capsys.readouterr().out == table


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_one_photograph_reaches_every_base_as_keras_prepares_it(name: str, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole route inside the model: raw uint8 pixels, grey or in colour, resized, then as `preprocess_input` makes them."""
    monkeypatch.setattr("cnnkit.model.base.load_base", lambda entry, shape: (keras.Sequential([keras.Input(shape)]), ()))
    photograph = PHOTOGRAPH if colour == "rgb" else PHOTOGRAPH.mean(-1, keepdims=True).astype(np.uint8)
    inputs = keras.Input(photograph.shape)
    features = apply_base(Model(base=name, image_size=75), inputs).features
    ours = keras.Model(inputs, features)(photograph[None])
    resized = tf.image.resize(np.broadcast_to(photograph, PHOTOGRAPH.shape).astype(np.float32), (75, 75)).numpy()
    theirs = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(resized.copy()[None])
    assert np.allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(
    "name", ["MobileNetV2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ResNet50", "DenseNet121", "EfficientNetB0"))]
)
def test_the_features_of_a_photograph_are_those_of_plain_keras(name: str) -> None:
    inputs = keras.Input(PHOTOGRAPH.shape)
    features = apply_base(Model(base={name: {"weights": "none"}}), inputs).features
    model = keras.Model(inputs, features)
    plain = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=PHOTOGRAPH.shape)
    plain.set_weights(model.get_weights())
    prepared = sys.modules[getattr(keras.applications, name).__module__].preprocess_input(PHOTOGRAPH.astype(np.float32)[None])
    expected = np.asarray(plain(prepared))
    assert np.allclose(model(PHOTOGRAPH[None]), expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_every_base_builds_at_its_smallest_input(name: str) -> None:
    smallest = bases._smallest_size(name)
    inputs = keras.Input((28, 28, 1))
    applied = apply_base(Model(base={name: {"weights": "none"}}, image_size=smallest), inputs)
    features, prepared = applied.features, applied.prepared
    assert prepared.shape == (None, smallest, smallest, 3)
    assert len(features.shape) == 4
    assert all(size >= 1 for size in features.shape[1:])
    keras.utils.clear_session()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_the_preferred_size_of_every_base_is_that_of_the_whole_network(name: str) -> None:
    with keras.StatelessScope(initialize_variables=False):  # the variables get no values: a gigabyte saved
        whole = getattr(keras.applications, name)(weights=None)
    any_size = (None, None)  # what MobileNetV3 takes where no size is named
    assert whole.input_shape[1:3] in ((preferred_size(name),) * 2, any_size)
    assert whole.input_shape[1:3] != any_size or name.startswith("MobileNetV3")
    keras.utils.clear_session()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    packaged = PACKAGED_WEIGHTS.read_bytes()
    (folder / "good.h5").write_bytes(packaged)
    (folder / "good.bin").write_bytes(packaged)
    (folder / "cut.h5").write_bytes(packaged[:100_000])
    (folder / "text.h5").write_text("not weights\n")
    base = keras.applications.MobileNetV2(weights=str(PACKAGED_WEIGHTS), include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    base.save_weights(folder / "new.weights.h5")
    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    small.save(folder / "whole.keras")
    import h5py

    with h5py.File(folder / "whole.h5", "w") as file:  # as Keras's own writer marks a whole model
        file.attrs["model_config"] = "{}"
    return folder


REMEDY_FIT = "\n    Name weights of the same network without its top, made with the same arguments.\n"
WRONG_FILES = {
    "missing": (
        "{MobileNetV2: {alpha: 0.35, weights: gone.h5}}",
        "gone.h5: no such weights file\n    Name a file that is there; or write `imagenet`, or `none` for random weights.\n",
    ),
    "truncated": (
        "{MobileNetV2: {alpha: 0.35, weights: cut.h5}}",
        "cut.h5: is damaged or was cut short\n    Get the file again.\n",
    ),
    "text": (
        "{MobileNetV2: {alpha: 0.35, weights: text.h5}}",
        "text.h5: is not a file of weights\n    Keras's weights are HDF5 files: `NAME.h5` or `NAME.weights.h5`.\n",
    ),
    "whole model": (
        "{MobileNetV2: {alpha: 0.35, weights: whole.keras}}",
        "whole.keras: is a whole model or an archive, not weights alone\n    A model of your own is a base by itself: `base: {run: PATH}`.\n",
    ),
    "whole model in HDF5": (
        "{MobileNetV2: {alpha: 0.35, weights: whole.h5}}",
        "whole.h5: is a whole model, not weights alone\n    Write its weights with Keras's `model.save_weights('NAME.weights.h5')`.\n",
    ),
    "ending": (
        "{MobileNetV2: {alpha: 0.35, weights: good.bin}}",
        "good.bin: holds HDF5 data, but Keras knows weights by their ending\n    Rename it to `good.h5`.\n",
    ),
    "another alpha": (
        "{MobileNetV2: {alpha: 0.50, weights: good.h5}}",
        "good.h5: the weights do not fit MobileNetV2 with alpha 0.5: Shape mismatch in layer #10 (named block_1_project)for weight "
        "block_1_project/kernel. Weight expects shape (1, 1, 48, 16). Received saved weight with shape (1, 1, 48, 8)" + REMEDY_FIT,
    ),
}


@pytest.mark.parametrize("wrong", WRONG_FILES)
def test_a_weights_file_that_cannot_be_used_is_told(
    wrong: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base, message = WRONG_FILES[wrong]
    assert check(files, monkeypatch, capsys, base) == f"Error: c.yaml:4:46: model.base.MobileNetV2.weights: {message}"


def test_weights_of_another_network_are_told(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(files, monkeypatch, capsys, "{VGG16: {weights: good.h5}}") == (
        "Error: c.yaml:4:27: model.base.VGG16.weights: good.h5: the weights do not fit VGG16: Layer count mismatch when loading "
        "weights from file. Model expected 13 layers, found 104 saved layers." + REMEDY_FIT
    )
    told = check(files, monkeypatch, capsys, "{MobileNetV2: {alpha: 0.50, weights: new.weights.h5}}")
    assert told.startswith(
        "Error: c.yaml:4:46: model.base.MobileNetV2.weights: new.weights.h5: the weights do not fit MobileNetV2 with alpha 0.5: "
    )
    assert told.endswith(REMEDY_FIT)


@pytest.mark.parametrize("name", ["good.h5", "new.weights.h5"])
def test_a_weights_file_is_named_relative_to_its_config_and_loaded_whole(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.data.binding import load
    from cnnkit.model.compile import build_and_compile
    from cnnkit.training.phases import base_of

    (files / "c.yaml").write_text(
        f"data: {{dataset: digits}}\nmodel: {{image_size: 64, base: {{MobileNetV2: {{alpha: 0.35, weights: {name}}}}}}}\n"
    )
    monkeypatch.chdir("/")
    loaded = load([files / "c.yaml"])
    assert loaded.config.model.base.written == {"MobileNetV2": {"alpha": 0.35, "weights": str(files / name)}}
    base = base_of(build_and_compile(loaded).model)
    assert base is not None
    plain = keras.applications.MobileNetV2(weights=str(PACKAGED_WEIGHTS), include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    for ours, theirs in zip(base.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_damaged_file_in_keras_own_folder_is_told(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "home/models").mkdir(parents=True)
    (tmp_path / "home/models" / PACKAGED_WEIGHTS.name).write_bytes((files / "cut.h5").read_bytes())
    assert check(tmp_path, monkeypatch, capsys, "{MobileNetV2: {alpha: 0.35}}") == (
        f"Error: c.yaml:4:9: model.base: home/models/{PACKAGED_WEIGHTS.name}: is damaged or was cut short\n    Get the file again.\n"
    )


OTHERS = {
    "unknown": (
        "MobilNetV2",
        "c.yaml:4:9: model.base: unknown pretrained base 'MobilNetV2'. Did you mean 'MobileNetV2'?\n",
    ),
    "another spelling": (
        "{mobilenet_v2: {weights: none}}",
        "c.yaml:4:10: model.base.mobilenet_v2: unknown pretrained base 'mobilenet_v2'. Did you mean 'MobileNetV2'?\n",
    ),
    "too small": (
        "{InceptionV3: {weights: none}}",
        (
            "c.yaml:4:9: model.base: InceptionV3 takes images of at least 75x75, got 64x64\n"
            "    Write `model: {image_size: 75}` or more, or `image_size: auto` for what it prefers.\n"
        ),
    ),
    "set by cnnkit": (
        "{MobileNetV2: {weights: none, include_top: true}}",
        "c.yaml:4:39: model.base.MobileNetV2.include_top: cannot be set in a config\n    The layers on top are those of `head`.\n",
    ),
    "preprocessing": (
        "{EfficientNetV2B0: {weights: none, include_preprocessing: false}}",
        (
            "c.yaml:4:44: model.base.EfficientNetV2B0.include_preprocessing: cannot be set in a config\n"
            "    Each base gets its pixels as it wants them.\n"
        ),
    ),
    "head": (
        "{MobileNetV2: {weights: none}}\n  head: [GlobalAveragePooling2D, {Dense: {units: 3, activation: softmax}}]",
        (
            "c.yaml:5:50: model.head[1].Dense.units: the last layer gives 3 outputs, but digits has 10 classes\n"
            "    Write `units: 10`, or `units: outputs`, which follows the data.\n"
        ),
    ),
    "head without pooling": (
        "{MobileNetV2: {weights: none}}\n  head: [{Dense: {units: outputs, activation: softmax}}]",
        (
            "c.yaml:5:10: model.head[0]: the network ends in (2, 2, 10), but the data wants (10,)\n"
            "    Put Flatten or GlobalAveragePooling2D before the last Dense layer.\n"
        ),
    ),
    "no such run": (
        "{run: runs/gone}",
        "c.yaml:4:15: model.base.run: runs/gone: no such run\n    See which there are: `cnnkit runs`.\n",
    ),
    "run without a model": (
        "{run: empty}",
        (
            "c.yaml:4:15: model.base.run: empty: has no model.keras, so it is not a run that got to its end\n"
            "    Train it again, or name another run.\n"
        ),
    ),
    "unusable model file": (
        "{run: broken.keras}",
        (
            "c.yaml:4:15: model.base.run: broken.keras: is not a .keras file, or was cut short\n"
            "    A .keras file is a zip archive that Keras's model.save wrote.\n"
        ),
    ),
    "unknown layer in until": (
        "{run: own.keras, until: flaten}",
        "c.yaml:4:33: model.base.until: no layer is called 'flaten'. Did you mean 'flatten'?\n    It has: input, flatten, dense.\n",
    ),
}


LISTED = "    `cnnkit bases` lists those of Keras; your own run can be a base, too: `--base runs/NAME`.\n"


@pytest.mark.parametrize("wrong", OTHERS)
def test_a_base_that_cannot_be_used_is_told(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.keras").write_text("no")
    inputs = keras.Input((8, 8, 1), name="input")
    flat = keras.layers.Flatten(name="flatten")(inputs)
    keras.Model(inputs, keras.layers.Dense(3, name="dense")(flat)).save(tmp_path / "own.keras")
    assert zipfile.is_zipfile(tmp_path / "own.keras")
    base, message = OTHERS[wrong]
    assert check(tmp_path, monkeypatch, capsys, base) == f"Error: {message}"


def test_a_base_on_the_command_line_takes_any_spelling_or_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for spelling, message in (
        ("resnet_50_v3", "--base: unknown pretrained base, and no such run, 'resnet_50_v3'. Did you mean 'ResNet50V2'?\n" + LISTED),
        ("empty", "empty: has no model.keras, so it is not a run that got to its end\n    Train it again, or name another run.\n"),
    ):
        assert run(monkeypatch, "transfer", "--base", spelling) == 1
        assert capsys.readouterr().err == f"Error: {message}"
    from cnnkit.training.transfer_config import base_name

    assert [base_name(spelling) for spelling in ("mobilenet_v2", "MOBILENETV2", "mobilenet-v2", "efficientnet b0", "nasnet_mobile")] == [
        "MobileNetV2",
        "MobileNetV2",
        "MobileNetV2",
        "EfficientNetB0",
        "NASNetMobile",
    ]


def test_no_network_and_no_weights_is_an_error_with_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert check(tmp_path, monkeypatch, capsys, "VGG16") == (
        "Error: the ImageNet weights of VGG16 are not in home/models and could not be downloaded: "
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5: "
        "None -- the tests have no network\n"
        "    Put Keras's weights file into home/models; or use `--base mobilenetv2`, whose smallest weights come with cnnkit; "
        "or write `VGG16: {weights: none}` to start from random ones.\n"
    )


def test_the_summary_over_a_base_counts_as_keras_and_marks_what_is_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    arguments = ("summary", "--base", "mobilenet_v2", "--set", "model.image_size=64", "--set", "model.base={MobileNetV2: {weights: none}}")
    assert run(monkeypatch, *arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    base.trainable = False
    plain = keras.Sequential([keras.Input((64, 64, 3)), base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])
    count = keras.src.utils.summary_utils.count_params
    assert told["total_parameters"] == plain.count_params()
    assert told["trainable_parameters"] == count(plain.trainable_weights) == 12_810
    assert told["non_trainable_parameters"] == count(plain.non_trainable_weights) == 2_257_984
    assert run(monkeypatch, *arguments) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "Functional" in line or "(Dense)" in line]
    assert ["frozen" in row for row in rows] == [True, False]
