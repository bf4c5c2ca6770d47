"""The shipped configs: each loads, builds, opens with its command and its figure, and survives being written out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pytest

from cnnkit import __version__
from cnnkit.config.catalogue import BUILT_IN
from cnnkit.config.json_schema import json_schema
from cnnkit.config.load import resolved
from cnnkit.config.measured import measured_in
from cnnkit.config.packaged import comment_and_config, folder, packaged_config
from cnnkit.config.schema import AUGMENTATIONS, BLOCKS, Config, Data, Model
from cnnkit.config.yaml_loader import read_file
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.checking import _check_value, check_entry
from cnnkit.keras_api.signatures import REQUIRED, signature_table
from cnnkit.model.compile import build_and_compile
from tests.shipped_configs import CONFIGS, without_downloads


def test_all_seven_are_there() -> None:
    assert {path.stem for path in CONFIGS} >= {"cifar", "digits", "shapes", "signals", "regression", "resnet", "transfer"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_config_builds_and_tells_its_command_and_figure(path: Path, tmp_path: Path) -> None:
    head, _ = comment_and_config(path.read_text())
    assert head.startswith("# yaml-language-server: $schema=schema.json\n")
    command = "cnnkit transfer --base mobilenetv2" if path.stem == "transfer" else f"cnnkit train configs/{path.name}"
    assert re.search(rf"^#   {re.escape(command)}( --set \S+)*$", head, re.MULTILINE)
    measured = measured_in(path)
    assert measured is not None, f"python benchmarks/recipes.py {path.stem}"
    assert not measured.is_outdated(__version__), f"python benchmarks/recipes.py {path.stem}"
    base = [] if read_file(path).value["model"].get("base") is None else ["model.base={MobileNetV2: {weights: none}}"]
    loaded = load([path], [*_pictures(path, tmp_path), *base])
    network = build_and_compile(loaded)
    assert network.model.output_shape == (None, loaded.source.spec.task.outputs)


def _pictures(path: Path, folder: Path) -> list[str]:
    """The override that gives a config for the user's own pictures some."""
    return [each for each in without_downloads(path, folder) if each.startswith("data.folder=")]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_resolved_config_loads_to_the_same_config(path: Path, tmp_path: Path) -> None:
    first = load([path], _pictures(path, tmp_path))
    (tmp_path / "config.yaml").write_text(first.as_yaml())
    assert load([tmp_path / "config.yaml"]).config == first.config


def test_the_fields_that_take_cnnkits_own_words_name_them_all() -> None:
    """Their descriptions are what editors show, and the site's reference."""
    for section, field, words in ((Model, "layers", BLOCKS), (Data, "augment", AUGMENTATIONS), (Data, "dataset", BUILT_IN)):
        description = section.model_fields[field].description
        assert description is not None
        assert {word for word in words if not re.search(rf"\b{word}\b", description)} == set(), field


def test_entries_are_dumped_as_they_were_written() -> None:
    layers = [
        "Flatten",
        {"Dropout": {"rate": "1/2", "seed": None}},
        {"BatchNormalization": None},
        {"ReLU": {}},
        {"residual": {"activation": "relu", "layers": [{"Dense": {"units": 8, "kernel_initializer": {"HeNormal": None}}}]}},
    ]
    train = {
        "optimizer": {"Adam": {"learning_rate": {"CosineDecay": {"decay_steps": 9, "initial_learning_rate": "1/10"}}}},
        "metrics": ["accuracy", {"Accuracy": None}, {"AUC": {"name": None}}],
        "phases": [{"train": "all", "optimizer": {"SGD": None}}],
    }
    config = Config.model_validate(
        {"data": {"dataset": "digits", "augment": [{"RandomFlip": None}]}, "model": {"layers": layers}, "train": train}
    )
    dumped = resolved(config)
    assert dumped["model"]["layers"] == layers
    assert {key: dumped["train"][key] for key in ("optimizer", "metrics")} == {key: train[key] for key in ("optimizer", "metrics")}
    assert dumped["train"]["phases"][0]["optimizer"] == {"SGD": None}
    assert dumped["data"]["augment"] == [{"RandomFlip": None}]
    assert list(dumped["model"]["layers"][4]["residual"]) == ["activation", "layers"]
    assert resolved(Config.model_validate({"data": {"dataset": "digits"}, "model": {"base": {"until": "x", "run": "y"}}}))["model"][
        "base"
    ] == {
        "until": "x",
        "run": "y",
    }


def test_cifar_is_the_network_of_the_tutorial() -> None:
    model = build_and_compile(load([folder() / "cifar.yaml"])).model
    plain = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    assert np.array_equal(model(images), plain(images.astype(np.float32)))
    assert model.count_params() == 122_570


def test_no_default_of_keras_is_refused() -> None:
    """The types read from docstrings never contradict Keras's own defaults."""
    table = signature_table()
    refused = [
        (kind, name, argument)
        for kind, objects in table.objects.items()
        for name, signature in objects.items()
        for argument, known in signature.arguments.items()
        if known.default not in (None, REQUIRED) and list(_check_value(known, known.default, (argument,)))
    ]
    assert refused == []
    assert len(table.objects["layers"]) > 140


@pytest.mark.parametrize("name", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"])
def test_what_can_run_code_is_refused_by_name(name: str) -> None:
    (fault,) = check_entry("layers", name, ("model",))
    assert fault.message == f"{name} is not accepted in a config: it runs code of its own"


def test_schema_is_valid_takes_every_shipped_config_and_refuses_typos() -> None:
    import yaml

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in CONFIGS:
        assert list(validator.iter_errors(read_file(path).value)) == [], path  # a YAML 1.2 reader, to which 1e-3 is a number
    wrong = yaml.safe_load((folder() / "cifar.yaml").read_text().replace("filters: 32", "filtres: 32"))
    assert list(validator.iter_errors(wrong))


def test_the_schema_in_the_checkout_is_the_one_of_this_keras() -> None:
    stored = json.loads((folder() / "schema.json").read_text())
    schema = json_schema()
    if stored["x-keras-version"] != schema["x-keras-version"]:
        pytest.skip("made for another Keras")
    assert stored == schema


def test_help_and_broken_configs_do_without_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: x\ndata: {dataset: cifar11}\nmodel: {layers: [Flattn]}\n")
    code = (
        "import sys\nimport cnnkit.cli as cli\n"
        "print(sorted({'pydantic', 'yaml', 'numpy', 'PIL'} & set(sys.modules)))\n"
        "for arguments in (['--help'], ['configs'], ['check', 'c.yaml']):\n"
        "    sys.argv = ['cnnkit', *arguments]\n"
        "    try:\n        cli.main()\n    except SystemExit:\n        pass\n"
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=True)
    assert result.stdout.splitlines()[0] == "[]"  # what `--help` needs is the command line alone
    assert result.stdout.splitlines()[-1] == "[]"
    assert result.stderr == (
        "Error: c.yaml:2:17: data.dataset: unknown data set 'cifar11'. Did you mean 'cifar10'?\n"
        "c.yaml:3:18: model.layers[0]: unknown layer 'Flattn'. Did you mean 'Flatten'?\n"
    )


def test_a_packaged_config_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(CnnkitError) as caught:
        packaged_config("cifra")
    assert str(caught.value) == (
        "no packaged config 'cifra'. Did you mean 'cifar'?\n"
        "    There are: cifar, cifar-94, cifar-finetune, cifar-transfer, digits, fashion, folder, folder-finetune, regression, resnet, shapes, signals, transfer."
    )
