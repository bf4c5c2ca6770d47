"""Broken configs: each gives its whole message, exit status 1 and no traceback.

Over 300 lines: it is one table, a broken config with its whole message a row.
"""

import sys
from pathlib import Path

import pytest

from cnnkit import cli

GOOD = """name: cifar
data:
  dataset: cifar10
  validation: test
model:
  preprocess:
    - Rescaling: {scale: 1/255}
  layers:
    - Conv2D: {filters: 32, kernel_size: 3, activation: relu}
    - MaxPooling2D: {pool_size: 2}
    - Flatten
    - Dense: {units: 10, activation: softmax}
train:
  epochs: 2
  optimizer: adam
"""

# what is broken -> text of GOOD, what takes its place, the whole of standard error
BROKEN = {
    "key at the top": (
        "name: cifar",
        "nam: cifar",
        "Error: c.yaml:1:1: nam: unknown key. Did you mean 'name'?\n",
    ),
    "key of a section": (
        "  epochs: 2",
        "  epoch: 2",
        "Error: c.yaml:14:3: train.epoch: unknown key. Did you mean 'epochs'?\n",
    ),
    "layer": (
        "    - Flatten",
        "    - Flattn",
        "Error: c.yaml:11:7: model.layers[2]: unknown layer 'Flattn'. Did you mean 'Flatten'?\n",
    ),
    "block": (
        "    - Flatten",
        "    - repaet: {times: 2, layers: [Flatten]}",
        "Error: c.yaml:11:7: model.layers[2].repaet: unknown block 'repaet'. Did you mean 'repeat'?\n",
    ),
    "block where there are none": (
        "  optimizer: adam",
        "  optimizer: adam\n  metrics: [repaet]",
        "Error: c.yaml:16:13: train.metrics[0]: unknown metric 'repaet'.\n    The names are those of keras.metrics.\n",
    ),
    "layer that Keras itself refuses": (
        "    - Flatten",
        "    - GroupNormalization: {groups: 5}\n    - Flatten",
        "Error: c.yaml:11:7: model.layers[2].GroupNormalization: GroupNormalization cannot take the incoming (15, 15, 32)\n    Keras says: Number of groups (5) must be a multiple of the number of channels (32).\n",
    ),
    "paths that do not add up": (
        "    - Flatten",
        "    - residual: {layers: [{Dense: {units: 3}}], shortcut: [{Dense: {units: 4}}]}\n    - Flatten",
        "Error: c.yaml:11:7: model.layers[2].residual: the shortcut gives (15, 15, 4), the layers (15, 15, 3)\n    They are added, so make them equal.\n",
    ),
    "missing section": (
        "data:\n  dataset: cifar10\n  validation: test\n",
        "",
        "Error: c.yaml:1:1: data: is missing\n",
    ),
    "layer argument": (
        "filters: 32",
        "filtres: 32",
        "Error: c.yaml:9:16: model.layers[0].Conv2D.filtres: unknown argument. Did you mean 'filters'?\n",
    ),
    "word of an argument": (
        "activation: relu",
        "activation: rellu",
        "Error: c.yaml:9:57: model.layers[0].Conv2D.activation: unknown activation 'rellu'. Did you mean 'relu'?\n",
    ),
    "nested object": (
        "kernel_size: 3,",
        "kernel_size: 3, kernel_initializer: {HeNormall: {}},",
        "Error: c.yaml:9:66: model.layers[0].Conv2D.kernel_initializer.HeNormall: unknown initializer 'HeNormall'. Did you mean 'HeNormal'?\n",
    ),
    "optimizer": (
        "optimizer: adam",
        "optimizer: adamm",
        "Error: c.yaml:15:14: train.optimizer: unknown optimizer 'adamm'. Did you mean 'adam'?\n",
    ),
    "schedule": (
        "optimizer: adam",
        "optimizer: {Adam: {learning_rate: {CosineDeca: {decay_steps: 3}}}}",
        "Error: c.yaml:15:38: train.optimizer.Adam.learning_rate.CosineDeca: unknown learning-rate schedule 'CosineDeca'. Did you mean 'CosineDecay'?\n",
    ),
    "metric": (
        "optimizer: adam",
        "metrics: [acuracy]",
        "Error: c.yaml:15:13: train.metrics[0]: unknown metric 'acuracy'. Did you mean 'accuracy'?\n",
    ),
    "callback": (
        "optimizer: adam",
        "callbacks: [EarlyStoping]",
        "Error: c.yaml:15:15: train.callbacks[0]: unknown callback 'EarlyStoping'. Did you mean 'EarlyStopping'?\n",
    ),
    "data set": (
        "dataset: cifar10",
        "dataset: cifar11",
        "Error: c.yaml:3:12: data.dataset: unknown data set 'cifar11'. Did you mean 'cifar10'?\n",
    ),
    "boolean for an integer": (
        "epochs: 2",
        "epochs: true",
        "Error: c.yaml:14:11: train.epochs: wants an integer, got true\n",
    ),
    "float for an integer": (
        "epochs: 2",
        "epochs: 1e-3",
        "Error: c.yaml:14:11: train.epochs: wants an integer, got 0.001\n",
    ),
    "float for filters": (
        "filters: 32",
        "filters: 1e-3",
        "Error: c.yaml:9:25: model.layers[0].Conv2D.filters: wants an integer, got 0.001\n",
    ),
    "float for units": (
        "units: 10",
        "units: 1e-3",
        "Error: c.yaml:12:22: model.layers[3].Dense.units: wants an integer, got 0.001\n",
    ),
    "float for batch_size": (
        "  validation: test",
        "  validation: test\n  batch_size: 1e-3",
        "Error: c.yaml:5:15: data.batch_size: wants an integer, got 0.001\n",
    ),
    "text for a number": (
        "kernel_size: 3",
        "kernel_size: three",
        "Error: c.yaml:9:42: model.layers[0].Conv2D.kernel_size: wants an integer or a list, got 'three'\n",
    ),
    "mapping for a list": (
        "  layers:\n",
        "  layers: {a: b}\n  old:\n",
        "Error: c.yaml:8:11: model.layers: wants a list, got {'a': 'b'}\nc.yaml:9:3: model.old: unknown key.\n    Known here: input_shape, preprocess, layers, base, image_size, head.\n",
    ),
    "duplicate key": (
        "  epochs: 2",
        "  epochs: 2\n  epochs: 3",
        "Error: c.yaml:15:3: train.epochs: this key stands twice, first on line 14\n    Keep one of the two.\n",
    ),
    "merge key": (
        "train:",
        "train:\n  <<: {epochs: 3}",
        "Error: c.yaml:14:3: train: merge keys ('<<') are not allowed\n    Write the entries out, or put what is shared into a config of its own and stack the two.\n",
    ),
    "tag": (
        "epochs: 2",
        "epochs: !!python/object/apply:os.system [ls]",
        "Error: c.yaml:14:11: tags ('!…') are not allowed\n    Remove it; put quotes around text that begins with '!'.\n",
    ),
    "tab": (
        "  epochs: 2",
        "\tepochs: 2",
        "Error: c.yaml:14:1: a tab indents this line\n    Indent with spaces.\n",
    ),
    "Lambda": (
        "    - Flatten",
        "    - Lambda: {function: x}",
        "Error: c.yaml:11:7: model.layers[2].Lambda: Lambda is not accepted in a config: it runs code of its own\n",
    ),
    "missing argument": (
        "{units: 10, activation: softmax}",
        "{activation: softmax}",
        "Error: c.yaml:12:7: model.layers[3].Dense: Dense needs units\n    Write `Dense: {units: …}`.\n",
    ),
    "no source": (
        "  dataset: cifar10\n",
        "",
        "Error: c.yaml:3:3: data: wants one of dataset, folder, csv, npz, npy, got none\n",
    ),
    "loss for numbers": (
        "optimizer: adam",
        "loss: mean_squared_error",
        "Error: c.yaml:15:9: train.loss: mean_squared_error is a loss for numbers, but cifar10 has classes\n    Write `loss: sparse_categorical_crossentropy`.\n",
    ),
    "metric for one-hot labels": (
        "optimizer: adam",
        "loss: sparse_categorical_crossentropy\n  metrics: [CategoricalAccuracy]",
        "Error: c.yaml:16:13: train.metrics[0]: CategoricalAccuracy wants one-hot labels, but sparse_categorical_crossentropy wants class indices\n    Write `loss: categorical_crossentropy`.\n",
    ),
    "outputs": (
        "units: 10",
        "units: 7",
        "Error: c.yaml:12:22: model.layers[3].Dense.units: the last layer gives 7 outputs, but cifar10 has 10 classes\n    Write `units: 10`, or `units: outputs`, which follows the data.\n",
    ),
    "softmax over one": (
        "units: 10",
        "units: 1",
        "Error: c.yaml:12:22: model.layers[3].Dense.units: the last layer gives 1 output, but cifar10 has 10 classes\n    Write `units: 10`, or `units: outputs`, which follows the data.\nc.yaml:12:37: model.layers[3].Dense.activation: softmax over one unit is always 1\n    Write `units: 10`, or `activation: sigmoid` for two classes.\n",
    ),
    "raw scores": (
        "units: 10, activation: softmax",
        "units: 10",
        "Error: c.yaml:12:7: model.layers[3].Dense: the last layer gives raw scores, but the loss wants probabilities that add up to 1\n    Write `activation: softmax`.\n",
    ),
    "window too large": (
        "pool_size: 2",
        "pool_size: 31",
        "Error: c.yaml:10:7: model.layers[1].MaxPooling2D: a 31x31 window does not fit the incoming (30, 30, 32)\n    Use `padding: same`, or a smaller window.\n",
    ),
    "Conv2D after Flatten": (
        "    - Flatten\n",
        "    - Flatten\n    - Conv2D: {filters: 3, kernel_size: 3}\n",
        "Error: c.yaml:12:7: model.layers[3].Conv2D: Conv2D wants (height, width, channels), but the incoming shape is (7200,)\n    Put Conv2D before the layer on line 11, which takes these axes away.\n",
    ),
    "no Flatten": (
        "    - Flatten\n",
        "",
        "Error: c.yaml:11:7: model.layers[2]: the network ends in (15, 15, 10), but the data wants (10,)\n    Put Flatten or GlobalAveragePooling2D before the last Dense layer.\n",
    ),
    "negative filters": (
        "filters: 32",
        "filters: -1",
        "Error: c.yaml:9:25: model.layers[0].Conv2D.filters: wants at least 1, got -1\n",
    ),
    "merge layer": (
        "    - Flatten",
        "    - Add",
        "Error: c.yaml:11:7: model.layers[2]: Add merges several inputs, but a list of layers hands on one\n    Use a `branches` block.\n",
    ),
    "input shape": (
        "model:\n",
        "model:\n  input_shape: [28, 28, 1]\n",
        "Error: c.yaml:6:16: model.input_shape: is [28, 28, 1], but an example of cifar10 is [32, 32, 3]\n    Write the data's shape, or leave `input_shape` out.\n",
    ),
}

SHAPES = ("window too large", "Conv2D after Flatten", "no Flatten", "merge layer")  # need TensorFlow


def check(folder: Path, text: str | bytes, monkeypatch: pytest.MonkeyPatch, *arguments: str, command: str = "check") -> int:
    monkeypatch.chdir(folder)
    Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setattr(sys, "argv", ["cnnkit", command, "c.yaml", *arguments])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    return int(exit_status.value.code or 0)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_config_is_told_in_full(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, expected = BROKEN[case]
    assert GOOD.count(old) >= 1
    assert check(tmp_path, GOOD.replace(old, new, 1), monkeypatch) == 1
    assert capsys.readouterr().err == expected


def test_the_config_that_the_others_are_broken_from_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, GOOD, monkeypatch) == 0
    assert capsys.readouterr().out == "c.yaml: good. 6 layers, 72,906 parameters.\n"


DIGITS = """data: {dataset: digits, limit: 100}
model: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}
train: {epochs: 1}
"""

MANY = "[{repeat: {times: 760, layers: [ReLU]}}]"

# what only Keras refuses -> overrides, the whole of standard error after the override
REFUSED_BY_KERAS = {
    "factor of a callback": (
        ["train.callbacks=[ReduceLROnPlateau: {factor: 2}]"],
        "train.callbacks[0].ReduceLROnPlateau: ReduceLROnPlateau does not support a factor >= 1.0. Received factor=2",
    ),
    "direction of a metric": (
        ["train.metrics=[FalsePositives]", "train.callbacks=[EarlyStopping: {monitor: val_false_positives}]"],
        "train.callbacks[0].EarlyStopping: Keras cannot tell whether val_false_positives is better high or low\n    Write `mode: max` where high is better, or `mode: min`.",
    ),
    "augmentation": (
        ["data.augment=[RandomRotation: {factor: a lot}]"],
        "data.augment[0].RandomRotation: The `factor` argument should be a number (or a list of two numbers) in the range [-1, 1]. Received: factor=a lot",
    ),
    "two layers of one name": (
        ["model.layers=[{Flatten: {name: a}}, {Dense: {name: a, units: 10, activation: softmax}}]"],
        "model.layers[1].Dense.name: the model already has a layer called 'a'\n    Give each layer a name of its own, or none.",
    ),
    "a layer with the name of a block's": (
        ["model.layers=[{residual: {layers: [{Dense: {units: 1, name: add}}]}}, Flatten, {Dense: {units: 10, activation: softmax}}]"],
        'model.layers: The name "add" is used 2 times in the model. All operation names should be unique.\n    Give each layer a name of its own, or none.',
    ),
    "more layers than a model file may have": (
        [f"model.layers=[{{branches: {{merge: add, paths: [{MANY}, {MANY}]}}}}, Flatten, {{Dense: {{units: 10, activation: softmax}}}}]"],
        "model.layers: cnnkit would not load the saved model again: its file has more than 3,000 layers\n    Use fewer or other layers.",
    ),
    "phase": (
        ["train.phases=[{train: from nosuch}]"],
        "train.phases[0].train: no layer is called 'nosuch'.\n    The layers go from input to dense.",
    ),
}


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize("case", REFUSED_BY_KERAS)
def test_what_only_keras_refuses_is_told_before_training_with_its_place(
    case: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, expected = REFUSED_BY_KERAS[case]
    named = [argument for override in overrides for argument in ("--set", override)]
    assert check(tmp_path, DIGITS, monkeypatch, *named, command=command) == 1
    assert capsys.readouterr().err == f"Error: --set {overrides[-1][:60]}: {expected}\n"
    assert not Path("runs").exists()


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        GOOD.replace("name:", "nam:")
        .replace("filters: 32", "filters: a")
        .replace("pool_size", "poolsize")
        .replace("epochs: 2", "epochs: no")
    )
    assert check(tmp_path, text, monkeypatch) == 1
    assert capsys.readouterr().err == (
        "Error: c.yaml:1:1: nam: unknown key. Did you mean 'name'?\n"
        "c.yaml:9:25: model.layers[0].Conv2D.filters: wants an integer, got 'a'\n"
        "c.yaml:10:22: model.layers[1].MaxPooling2D.poolsize: unknown argument. Did you mean 'pool_size'?\n"
        "c.yaml:14:11: train.epochs: wants an integer, got 'no'\n"
    )


def test_sizes_that_cannot_be_and_faults_between_sections_are_told_with_the_other_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        GOOD.replace("pool_size: 2", "pool_size: 0")
        .replace("kernel_size: 3", "kernel_size: [3, 0]")
        .replace("{units: 10", "{units: -1")
        .replace("epochs: 2", "epochs: no")
        .replace("dataset: cifar10", "dataset: cifar10\n  target: size")
    )
    assert check(tmp_path, text, monkeypatch) == 1
    assert capsys.readouterr().err == (
        "Error: c.yaml:4:11: data.target: cifar10 has no target 'size'. It has: class.\n"
        "c.yaml:10:42: model.layers[0].Conv2D.kernel_size: wants at least 1, got [3, 0]\n"
        "c.yaml:11:33: model.layers[1].MaxPooling2D.pool_size: wants at least 1, got 0\n"
        "c.yaml:13:22: model.layers[3].Dense.units: wants at least 1, got -1\n"
        "c.yaml:15:11: train.epochs: wants an integer, got 'no'\n"
    )


def test_errors_name_the_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD, monkeypatch, "--set", "train.epochs=x", "--set", "model.layers[0].Conv2D.filters=0.5") == 1
    assert capsys.readouterr().err == (
        "Error: --set model.layers[0].Conv2D.filters=0.5: model.layers[0].Conv2D.filters: wants an integer, got 0.5\n"
        "--set train.epochs=x: train.epochs: wants an integer, got 'x'\n"
    )


ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)

HOSTILE = {
    "nested brackets": ("a: " + "[" * 200_000, "c.yaml:1:35: lists and mappings are nested more than 32 deep\n    Nest them less."),
    "binary": (
        b"\x89PNG\r\n\x1a\n\x00\xff",
        "c.yaml:1:1: the file is not UTF-8 text\n    Name a YAML file (not a model, an image or an archive), saved as UTF-8.",
    ),
    "empty": ("", "c.yaml: the config is empty\n    Begin with one that `cnnkit configs` lists."),
    "a list": ("- a", "c.yaml:1:1: the config is a list, not a mapping\n    Write `key: value` entries, such as `model:`."),
    "large": (
        "a: " + "x" * 300_000,
        "c.yaml: the config is larger than 256 KiB\n    Name a YAML config; data belongs in a file of its own, which the config names.",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = HOSTILE[case]
    assert check(tmp_path, text, monkeypatch) == 1
    assert capsys.readouterr().err == f"Error: {expected}\n"


def test_an_alias_bomb_is_refused_before_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, ALIAS_BOMB, monkeypatch) == 1
    error = capsys.readouterr().err
    assert "the config has more than 20,000 keys and values, aliases written out\n" in error
    assert len(error) < 500


def test_a_missing_file_is_told_with_its_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cifar.yaml").write_text(GOOD)
    monkeypatch.setattr(sys, "argv", ["cnnkit", "check", "cifr.yaml"])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 1
    assert capsys.readouterr().err == (
        "Error: cifr.yaml: there is no such file. Did you mean 'cifar.yaml'?\n"
        "    Name a YAML file; `cnnkit configs` lists those that come with cnnkit.\n"
    )
