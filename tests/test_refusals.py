"""What is refused in a config, or in data, is told in full: where it stands, what is wrong, and what to write instead.

Over 300 lines: it is one table, a refused entry with its message a row.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnkit.config.schema import Data
from cnnkit.config.yaml_loader import parse, parse_value, read_file
from cnnkit.data.binding import load
from cnnkit.data.source import Request, open_source
from cnnkit.errors import CnnkitError, ConfigError
from cnnkit.keras_api.checking import check_entry

CLASSES = "data: {dataset: digits}\nmodel: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n"
NUMBERS = "data: {dataset: waves, target: frequency}\nmodel: {layers: [Flatten, {Dense: {units: outputs}}]}\n"

REFUSED = [  # config, overrides, the message without the override that each line begins with
    (CLASSES, ["data.target=size"], "data.target: digits has no target 'size'. It has: class."),
    (CLASSES, ["data.dataset=waves", "data.target=frequncy"], "data.target: waves has no target 'frequncy'. Did you mean 'frequency'?"),
    (CLASSES, ["data.classes=[a, b]"], "data.classes: goes with `folder`, `csv`, `npz` and `npy`, not with `dataset`\n    Leave it out."),
    (CLASSES, ["data.exclude=x.txt", "data.group=g"], "data.exclude: goes with `folder` and `csv`, not with `dataset`\n    Leave it out.\ndata.group: goes with `csv` and `npz`, not with `dataset`\n    Leave it out."),
    (CLASSES, ["data.dataset=null", "data.folder=photos", "data.split=s"], "data.split: goes with `csv` and `npz`, not with `folder`\n    Leave it out, or list the images in a CSV file."),
    (CLASSES, ["data.dataset=null", "data.folder=photos", "data.task=multilabel"], "data.task: goes with `csv`, `npz` and `npy`, not with `folder`\n    Leave it out, or list the images in a CSV file."),
    (CLASSES, ["data.dataset=null", "data.npz=x.npz", "data.separator=\"|\""], "data.separator: goes with `csv`, not with `npz`\n    Leave it out."),
    (CLASSES, ["data.dataset=null", "data.npy=x.npy", "data.group=g"], "data.group: goes with `csv` and `npz`, not with `npy`\n    Leave it out."),
    (CLASSES, ["data.dataset=cifar10", "data.fallback=digits"], "data.fallback: digits has examples of (8, 8, 1), cifar10 of (32, 32, 3)\n    A stand-in has to have the same shape."),
    (CLASSES, ["data.dataset=cifar100", "data.fallback=shapes"], "data.fallback: shapes has 10 classes, cifar100 has 100\n    A stand-in has to have as many."),
    (CLASSES, ["train.class_weight={\"3\": 2, tre: 1}"], "train.class_weight.tre: no class is called 'tre'. There are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."),
    (CLASSES, ["data.augment_passes=2"], "data.augment_passes: goes with a base and `data.augment`: it computes the features of augmented passes once\n    Leave it out."),
    (CLASSES, ["data.augment=[MixUp]", "data.augment_passes=2", "model.layers=null", "model.base={MobileNetV2: {}}"], "data.augment_passes: does not go with MixUp or CutMix, whose labels change with the pixels\n    Leave it out."),
    (CLASSES, ["data.validation=1.5"], "data.validation: wants a share of the training examples from 0 up to 1, or `test`, got 1.5"),
    (CLASSES, ["data.validation=half"], "data.validation: wants a share of the training examples from 0 up to 1, or `test`, got 'half'"),
    (CLASSES, ["data.validation=true"], "data.validation: wants a share of the training examples from 0 up to 1, or `test`, got true"),
    (CLASSES, ["train.class_weight=heavy"], "train.class_weight: wants 'balanced', got 'heavy'\ntrain.class_weight: wants a mapping, got 'heavy'"),
    (CLASSES, ["data.test=1"], "data.test: wants less than 1, got 1"),
    (CLASSES, ["train.optimizer=null"], "train.optimizer: wants one optimizer, got null\n    Write a name, or `Name: {argument: value}`, from keras.optimizers."),
    (CLASSES, ["train.checkpoint_every=0"], "train.checkpoint_every: wants a number of steps, or a time such as `10 minutes`, got 0"),
    (CLASSES, ["train.checkpoint_every=3 days"], "train.checkpoint_every: wants a number of steps, or a time such as `10 minutes`, got '3 days'"),
    (CLASSES, ["data.cache_memory=2TB"], "data.cache_memory: wants an integer, got '2TB'"),
    (CLASSES, ["model.base={MobileNetV2: {}}"], "c.yaml:2:8: model: wants either `layers` or `base`, got both"),
    (CLASSES, ["model.layers=null"], "c.yaml:2:8: model: wants either `layers` or `base`, got neither"),
    (CLASSES, ["model.head=[Flatten]"], "c.yaml:2:8: model: `head` and `image_size` go with `base`, not with `layers`"),
    (CLASSES, ["data.npz=x.npz"], "c.yaml:1:7: data: wants one of dataset, folder, csv, npz, npy, got dataset and npz"),
    (CLASSES, ["name=../x"], "name: '../x' is not a name for a run\n    Use letters, digits, dots, dashes and underscores, at most 64."),
    (CLASSES, ["train.epochs=\"3\""], "train.epochs: wants an integer, got '3'\n    Write it without quotes and underscores."),
    (CLASSES, ["train.epochs=1_000"], "train.epochs: wants an integer, got '1_000'\n    Write it without quotes and underscores."),
    (CLASSES, ["train.phases=[]"], "train.phases: wants at least 1 entry, got 0"),
    (CLASSES, ["train.on_nan=go"], "train.on_nan: wants 'stop' or 'restore', got 'go'"),
    (CLASSES, ["model.layers=null", "model.base={MobileNetV2: {pooling: avg}}"], "model.base.MobileNetV2.pooling: cannot be set in a config\n    Pool in `head`: GlobalAveragePooling2D."),
    (CLASSES, ["model.layers=null", "model.base={MobileNetV2: {include_top: true}}"], "model.base.MobileNetV2.include_top: cannot be set in a config\n    The layers on top are those of `head`."),
    (CLASSES, ["model.layers=null", "model.base={MobileNetV2: {classes: 3}}"], "model.base.MobileNetV2.classes: cannot be set in a config\n    The outputs are those of `head`."),
    (CLASSES, ["model.layers=null", "model.base={MobileNetV2: {classifier_activation: relu}}"], "model.base.MobileNetV2.classifier_activation: cannot be set in a config\n    The activation is that of the last layer in `head`."),
    (CLASSES, ["model.layers=null", "model.base={MobileNetV2: {input_shape: [3,3,3]}}"], "model.base.MobileNetV2.input_shape: cannot be set in a config\n    Set `model: {image_size: …}`."),
    (CLASSES, ["model.layers[0]=null"], "model.layers[0]: wants one layer, got null\n    Write a name, or `Name: {argument: value}`, from keras.layers."),
    (CLASSES, ["model.layers.Flatten=1"], "model.layers: is a list, so 'Flatten' names nothing in it\n    Name an item by its number: `[0]`."),
    (CLASSES, ["model.layers[5]=Flatten"], "model.layers: has 2 items, so there is no [5]\n    The last one is [1]."),
    (CLASSES, ["train=3", "train.epochs=2"], "train: is 3, so nothing stands below it\n    Set `train` itself."),
    (CLASSES, ["train[0]=2"], "train: is a mapping, not a list\n    Name an entry by its key."),
    (CLASSES, ["=3"], "wants KEY=VALUE\n    Write it as in `--set train.epochs=3`."),
    (CLASSES, ["train..epochs=3"], "'train..epochs' is not a path to an entry\n    Write it as in `model.layers[0].Conv2D.filters`."),
    (CLASSES, ["train.log=[wandb]"], "train.log[0]: wants 'tensorboard' or 'mlflow', got 'wandb'"),
    (CLASSES, ["model.layers[1].Dense.activation=sigmoid"], "model.layers[1].Dense.activation: the last layer gives sigmoid outputs, but the loss wants probabilities that add up to 1\n    Write `activation: softmax`."),
    (CLASSES, ["model.layers[0]={Flatten: {name: my layer}}"], "model.layers[0].Flatten.name: TensorFlow does not accept the name 'my layer'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["model.layers[0]={Flatten: {name: été}}"], "model.layers[0].Flatten.name: TensorFlow does not accept the name 'été'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["model.layers[0]={Flatten: {name: a/b}}"], "model.layers[0].Flatten.name: TensorFlow does not accept the name 'a/b'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["model.layers[0]={Flatten: {name: _a}}"], "model.layers[0].Flatten.name: TensorFlow does not accept the name '_a'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["model.layers[0]={Flatten: {name: \"a\\n\"}}"], "model.layers[0].Flatten.name: TensorFlow does not accept the name 'a\\n'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["model.layers[0]={Flatten: {name: 3}}"], "model.layers[0].Flatten.name: wants a word, got 3"),
    (CLASSES, ["train.metrics=[AUC: {name: my metric}]"], "train.metrics[0].AUC.name: TensorFlow does not accept the name 'my metric'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["train.optimizer={Adam: {name: my adam}}"], "train.optimizer.Adam.name: TensorFlow does not accept the name 'my adam'\n    Use letters from A to Z, digits, dots, dashes and underscores; begin with a letter or a digit."),
    (CLASSES, ["train.metrics=[AUC: {num_thresholds: 8193}]"], "train.metrics[0].AUC.num_thresholds: wants at most 8,192, got 8,193"),
    *[(CLASSES, [f"train.metrics=[AUC: {{name: {name}}}]"], f"train.metrics[0].AUC.name: '{name}' is the name of another column of the history\n    Write another name.") for name in ("loss", "epoch", "learning_rate", "seconds", "images_per_second")],
    (CLASSES, ["train.metrics=[AUC: {name: val_area}]"], "train.metrics[0].AUC.name: 'val_area' is the name of another column of the history\n    Write another name without `val_`."),
    *[(CLASSES, [f"train.metrics=[AUC: {{name: {name}}}]"], f"train.metrics[0].AUC.name: '{name}' is the name of another entry of the final results\n    Write another name.") for name in ("macro", "weighted", "classes", "confusion", "overall", "baseline", "targets", "intervals", "tta")],
    (CLASSES, ["train.callbacks=[EarlyStopping: {patience: x}]"], "train.callbacks[0].EarlyStopping.patience: wants a number, got 'x'"),
    (CLASSES, ["train.callbacks=[EarlyStopping: {baseline: x}]"], "train.callbacks[0].EarlyStopping.baseline: wants a number, got 'x'"),
    (CLASSES, ["train.callbacks=[EarlyStopping: {monitor: 3}]"], "train.callbacks[0].EarlyStopping.monitor: wants a word, got 3"),
    (CLASSES, ["train.callbacks=[EarlyStopping: {mode: mim}]"], "train.callbacks[0].EarlyStopping.mode: wants 'auto', 'min' or 'max', got 'mim'. Did you mean 'min'?"),
    (CLASSES, ["train.callbacks=[EarlyStopping: {monitor: val_acuracy}]"], "train.callbacks[0].EarlyStopping.monitor: EarlyStopping monitors 'val_acuracy', which is neither the loss nor a metric. Did you mean 'val_accuracy'?"),
    (CLASSES, ["train.callbacks=[ReduceLROnPlateau: {monitor: x}]"], "train.callbacks[0].ReduceLROnPlateau.monitor: ReduceLROnPlateau monitors 'x', which is neither the loss nor a metric.\n    There are: loss, accuracy, val_loss, val_accuracy."),
    (CLASSES, ["data.validation=0", "train.callbacks=[EarlyStopping]"], "train.callbacks[0]: EarlyStopping monitors val_loss, but there are no validation examples\n    Hold out a share of the training examples: `data: {validation: 0.1}`; or write `monitor: loss`."),
    (CLASSES, ["train.optimizer={Adam: {learning_rate: {CosineDecay: {initial_learning_rate: 1e-3, decay_steps: 9}}}}", "train.callbacks=[ReduceLROnPlateau]"], "train.callbacks[0]: ReduceLROnPlateau sets the learning rate, but that of Adam follows CosineDecay\n    Leave one of them out."),
    (CLASSES, ["train.loss=mse", "train.metrics=[CategoricalAccuracy]"], "train.loss: mse is a loss for numbers, but digits has classes\n    Write `loss: categorical_crossentropy`."),
    (NUMBERS, ["model.layers[1].Dense.units=2"], "model.layers[1].Dense.units: the last layer gives 2 outputs, but waves has 1 number to predict\n    Write `units: 1`, or `units: outputs`, which follows the data."),
    (NUMBERS, ["model.layers[1].Dense.activation=softmax"], "model.layers[1].Dense.activation: softmax over one unit is always 1\n    Leave the activation out for a number."),
    (NUMBERS, ["model.layers[1].Dense.activation=sigmoid"], "model.layers[1].Dense.activation: sigmoid gives values from 0 to 1, but frequency is a number\n    Leave the activation out."),
    (NUMBERS, ["train.class_weight=balanced"], "train.class_weight: frequency is a number, so there are no classes to weight\n    Leave it out."),
    (NUMBERS, ["data.sampling=balanced"], "data.sampling: balanced wants one class for each example, but waves has numbers to predict\n    Write `sampling: shuffle`."),
    (NUMBERS, ["data.augment=[MixUp]"], "data.augment[0]: MixUp is for images, but an example of waves is (128, 1)\n    Use GaussianNoise.\ndata.augment[0]: MixUp mixes classes, but waves has numbers to predict\n    Leave it out."),
    (NUMBERS, ["data.augment=[RandomFlip, GaussianNoise: {stddev: 0.1}]"], "data.augment[0]: RandomFlip is for images, but an example of waves is (128, 1)\n    Use GaussianNoise."),
]  # fmt: skip


@pytest.mark.parametrize(("config", "overrides", "message"), REFUSED, ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_a_config_is_refused_with_place_and_remedy(
    config: str, overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(config)
    with pytest.raises(CnnkitError) as caught:
        load([Path("c.yaml")], overrides)
    told = str(caught.value)
    for override in overrides:
        told = told.replace(f"--set {override}: ", "")
    assert told == message


def test_a_logger_that_is_not_installed_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(CLASSES)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CnnkitError) as caught:
        load([tmp_path / "c.yaml"], ["train.log=[mlflow]"])
    assert "train.log[0]: mlflow is not installed\n    Install it: `pip install 'cnnkit[mlflow]'`." in str(caught.value)


def test_limits_of_names_and_tables_are_the_last_that_are_allowed() -> None:
    def told(kind: str, entry: Any) -> list[str]:
        return [fault.message for fault in check_entry(kind, entry, ())]

    assert told("layers", {"Flatten": {"name": 200 * "a"}}) == told("layers", {"Flatten": {"name": ".a-1_>\\"}}) == []
    assert told("layers", {"Flatten": {"name": None}}) == []
    assert told("layers", {"Flatten": {"name": 201 * "a"}}) == ["is a name of 201 characters; at most 200 are allowed"]
    assert told("metrics", {"AUC": {"num_thresholds": 8192}}) == told("metrics", {"AUC": {"thresholds": 8192 * [0.5]}}) == []
    assert told("metrics", {"AUC": {"thresholds": 8193 * [0.5]}}) == ["wants at most 8,192 entries, got 8,193"]
    assert told("layers", {"MelSpectrogram": {"sampling_rate": 44100, "num_mel_bins": 9000}}) == ["wants at most 8,192, got 9,000"]
    assert told("layers", {"Dense": {"units": 9000}}) == []


def test_a_path_that_leads_nowhere_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop.npz").symlink_to("loop.npz")
    for path, message in (
        ("loop.npz", "the symbolic links of 'loop.npz' lead in a circle\n    Mend the link, or name the file itself."),
        ("~nobody-here/x.npz", "the home folder in '~nobody-here/x.npz' is unknown\n    Write the path in full."),
    ):
        Path("c.yaml").write_text(CLASSES.replace("dataset: digits", f"npz: {path}"))
        with pytest.raises(ConfigError) as caught:
            load([Path("c.yaml")])
        assert str(caught.value) == f"c.yaml:1:13: data.npz: {message}"


def test_faults_of_an_entry_do_not_hide_those_of_others_against_built_in_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "data: {dataset: digits}\nmodel:\n  layers:\n    - MaxPooling2D: {pool_size: 0}\n    - Flatten\n"
        "    - Dense: {units: 7, activation: softmax}\n"
        "train:\n  loss: mse\n  metrics: [R2Score]\n  class_weight: {tre: 1}\n  epochs: no\n  callbacks: [EarlyStopping: {monitor: x}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load([Path("c.yaml")])
    told = [line.split(" ", 1) for line in str(caught.value).splitlines() if not line.startswith(" ")]
    assert [where for where, _ in told] == ["c.yaml:4:33:", "c.yaml:6:22:", "c.yaml:8:9:", "c.yaml:10:18:", "c.yaml:11:11:"]


def test_an_entry_with_a_fault_accuses_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CLASSES)
    for overrides in (
        ["train.optimizer={Adam: {use_ema: 3}}", "train.callbacks=[SwapEMAWeights]"],
        ["train.metrics=[{AUC: {num_thresholds: 9000}}]", "train.callbacks=[EarlyStopping: {monitor: auc}]"],
        ["data.augment_passes=2", "data.augment=[RandomFlip]", "model.layers=null", "model.base={MobileNetV2: {alfa: 1}}"],
        ["model.layers[1].Dense.units=-1"],
        ["model.layers[1].Dense.activation=sotfmax"],
    ):
        with pytest.raises(ConfigError) as caught:
            load([Path("c.yaml")], overrides)
        assert len(caught.value.problems) == 1, caught.value


BROKEN_YAML = [  # text, the message after the file's name
    ("a:\n\tb: 1\n", "2:1: a tab indents this line\n    Indent with spaces."),
    ("a: @b\n", "1:4: a value cannot begin with this character\n    Put quotes around the value."),
    ("a\nb: 1\n", "2:2: a ':' cannot stand here: the line above or the text before it is already a value\n    Write one `key: value` a line, with entries of one mapping indented alike. Put quotes around text that holds ': '."),
    ("a: - b\n", "1:4: a list item '- …' cannot stand here\n    Begin the list on the next line."),
    ("a: ? b\n", "1:4: a '?' cannot stand here\n    Put quotes around text that begins with '? '."),
    ("a: b: c\n", "1:5: a ':' cannot stand here: the line above or the text before it is already a value\n    Write one `key: value` a line, with entries of one mapping indented alike. Put quotes around text that holds ': '."),
    ("a: [1, 2\nb: 3\n", "1:4: this '[' is not closed, or a ',' is missing in it\n    Close it with ']'."),
    ("a: {b: 1\nc: 3\n", "1:4: this '{' is not closed, or a ',' is missing in it\n    Close it with '}'."),
    ("a: 'b' c\n", "1:8: text stands after a value that is already complete\n    Put quotes around the whole value, and write a quote inside single quotes twice."),
    ("a:\n  b: 1\n c: 2\n", "3:2: this does not line up with what stands above it\n    Indent the entries of one mapping or list alike, with spaces."),
    ("a: ]\n", "1:4: a value is missing here\n    Write one, or null for none."),
    ("a: \"\\q\"\n", "1:6: a '\\' in double quotes begins an escape, and this one is unknown\n    Write '\\\\' for a backslash, or use single quotes."),
    ("a: 'b\n", "1:4: a quoted text begins here and is never closed\n    Close it with the kind of quote it begins with."),
    ("a: |x\n  b\n", "1:4: after '|' or '>' the line must end\n    Begin the text on the next line, indented."),
    ("a: *\n", "1:5: a value that begins with '*' or '&' is not a plain word in YAML\n    Put quotes around it, or define the anchor (&name) above its alias (*name)."),
    ("a: *b\n", "1:4: a value that begins with '*' or '&' is not a plain word in YAML\n    Put quotes around it, or define the anchor (&name) above its alias (*name)."),
    ("a: &x 1\nb: &x 2\n", "2:4: an anchor of this name (&name) stands above already\n    Give each anchor a name of its own."),
    ("a: !<x 1\n", "1:7: a word that begins with '!' is a YAML tag, and tags are not allowed\n    Remove it, or put quotes around it."),
    ("a: 1\n---\nb: 2\n", "2:1: a second document begins here\n    Keep one in this file, and stack several files instead."),
    ("a: 1\n...\nb: 2\n", "3:1: this stands outside of the config's one mapping\n    Write one `key: value` a line, with entries of one mapping indented alike."),
    ("%FOO\na: 1\n", "2:1: this stands outside of the config's one mapping\n    Write one `key: value` a line, with entries of one mapping indented alike."),
    ("%YAML 3.0\n---\na: 1\n", "1:1: a line that begins with '%' is a YAML directive, and this one is unknown\n    Remove the line."),
    ("a: &a [*a]\n", "1:8: an alias is inside what it refers to\n    Write the value out."),
    ("[1]: 2\n", "1:1: a list or a mapping cannot be a key\n    Write a word before the ':', and put quotes around text that begins with '[' or '{'."),
    ("1: 2\n", "1:1: the key 1 is a number, not text\n    Put quotes around it: '1'."),
    ("? \n: 2\n", "1:2: the key null is empty, not text\n    Write a word before the ':'."),
    ("true: 1\n", "1:1: the key true is a boolean, not text\n    Put quotes around it: 'true'."),
    ("null: 2\n", "1:1: the key null is empty, not text\n    Put quotes around it: 'null'."),
    ("a: \"\\x01\"\n", "1:4: a: the text '\\x01' holds a control character\n    Remove it."),
    ("a: \u0001\n", "1:4: the control character '\\x01' is not allowed in YAML\n    Remove it; a config is plain text."),
    ("\"a\\x07b\": 1\n", "1:1: the key 'a\\x07b' holds a character that cannot be printed\n    Use a short plain word."),
    ("a: !x 1\n", "1:4: tags ('!…') are not allowed\n    Remove it; put quotes around text that begins with '!'."),
    ('a: "\\U00110000"\n', "1:7: a number in an escape or a directive is out of range\n    Write the character itself."),
    ("3", "1:1: the config is a number, not a mapping\n    Write `key: value` entries, such as `model:`."),
    ("x", "1:1: the config is text, not a mapping\n    Write `key: value` entries, such as `model:`."),
    ("true", "1:1: the config is a boolean, not a mapping\n    Write `key: value` entries, such as `model:`."),
    (f"a: {'1' * 200}", "1:4: a: a number of 200 characters; at most 100 are allowed\n    Round it, or put quotes around it if it is text."),
    (f"{'k' * 101}: 1", "1:1: a key of 101 characters; at most 100 are allowed\n    Use a short plain word."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BROKEN_YAML, ids=[repr(text)[:20] for text, _ in BROKEN_YAML])
def test_broken_yaml_is_told_in_plain_words(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    assert str(caught.value) == f"c.yaml:{message}"


def test_limits_of_yaml_are_the_last_that_are_allowed() -> None:
    assert parse(f"a: {'1' * 100}", "c").value == {"a": int("1" * 100)}
    assert parse(f"{'k' * 100}: 1", "c").value == {"k" * 100: 1}
    assert parse("a: " + "[" * 31 + "]" * 31, "c").value is not None
    with pytest.raises(ConfigError):
        parse("a: " + "[" * 32 + "]" * 32, "c")


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path)
    assert str(caught.value) == f"{tmp_path}: this is a folder, not a file\n    Name a YAML file in it."
    with pytest.raises(ConfigError) as caught:
        parse_value("3 # c", "--set x")
    assert str(caught.value) == "--set x: what follows '#' is a comment in YAML\n    Put quotes around the value."
    assert parse_value("", "--set x") is None


X = np.zeros((6, 4, 4, 1), np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2])

ARRAYS: list[tuple[dict[str, Any], dict[str, Any], str]] = [  # what the npz holds, the data section, the message after its path
    ({"x": X}, {}, ": none of its arrays is called y, Y, labels, targets or the like\n    Name one with `data.target`: x."),
    ({"x": X, "y": Y[:5]}, {}, ": 'x' has 6 rows, 'y' 5\n    Each example needs one of both."),
    ({"x": X, "y": Y, "g": Y[:5]}, {"group": "g"}, ": 'x' has 6 rows, 'data.group' 5\n    Each example needs one of both."),
    ({"x": X, "y": Y}, {"input": "pixels"}, ": has no array 'pixels' (data.input).\n    Its arrays: x, y."),
    ({"x": X, "label": Y}, {"target": "labl"}, ": has no array 'labl' (data.target). Did you mean 'label'?\n    Its arrays: x, label."),
    ({"x": X[0, 0], "y": Y[:4]}, {}, ": 'x' is (4, 1) uint8\n    Wanted are images (n, height, width, channels) or signals (n, steps, channels); signals of one channel are `x[..., np.newaxis]`."),
    ({"x": X, "y": np.zeros((6, 2, 2))}, {}, ": 'y' is (6, 2, 2) float64\n    Wanted are classes (n,), labels (n, labels) or numbers (n, outputs)."),
    ({"x": X, "y": np.array([["a", "b"]] * 6)}, {}, ": 'y' is (6, 2) <U1\n    Of texts, one an example is wanted: classes (n,)."),
    ({"x": X, "y": np.array([b"a", b"b", b"\xff"] * 2)}, {}, ": 'y.npy': b'\\xff' is no text in UTF-8\n    Save texts, such as `y.astype(str)`."),
    ({"x": X, "y": Y, "g": np.array([0, 1, 2, 3, np.nan, 0.5])}, {"group": "g"}, ": 'g' (data.group) has nan\n    Wanted is one word or whole number an example."),
    ({"x": X, "y": Y, "g": np.array([0, 1, 2, 3, 0.5, 4])}, {"group": "g"}, ": 'g' (data.group) has 0.5\n    Wanted is one word or whole number an example."),
    ({"x": X, "y": Y, "g": np.zeros((6, 2), int)}, {"group": "g"}, ": 'g' (data.group) is (6, 2) int64\n    Wanted is one word or whole number an example."),
    ({"x": X, "y": Y, "s": np.array(["train"] * 5 + ["trial"])}, {"split": "s"}, ": unknown split 'trial'\n    Wanted are train, validation and test."),
    ({"x": X, "y": np.array(list("abcabc"))}, {"classes": ["a", "b"]}, ": 'y' has 'c', which `data.classes` does not name"),
    ({"x": X, "y": Y}, {"classes": ["a", "b"]}, ": 'y' has classes from 0 to 2, but there are 2 names"),
    ({"x": X, "y": Y / 2}, {"task": "classification"}, ": 'y' has values that are not whole numbers, such as classes are\n    They go from 0.0 to 1.0."),
    ({"x": X, "y": 2 * np.eye(6)}, {"task": "multilabel"}, ": 'y' has something else than 0 and 1\n    A column a label says whether the label is there."),
    ({"x_train": X, "y_train": np.eye(6), "x_test": X, "y_test": Y}, {}, ": y_train is (6, 6), y_test (6,)\n    Each row has to be of one form."),
    ({"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y}, {}, ": an example of x_train is (4, 4, 1) uint8, one of x_test (2, 4, 1) uint8\n    Each has to be of one form."),
    ({"x_train": X, "y_train": Y, "x_test": X / 255, "y_test": Y}, {}, ": an example of x_train is (4, 4, 1) uint8, one of x_test (4, 4, 1) float64\n    Each has to be of one form."),
    ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "g": Y}, {"group": "g"}, ": has x_train, y_train, x_test and y_test, which `data.group` does not go with\n    Leave it out, or name the array of inputs, `data: {input: …}`."),
    ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "s": Y}, {"split": "s"}, ": has x_train, y_train, x_test and y_test, which `data.split` does not go with\n    Leave it out, or name the array of inputs, `data: {input: …}`."),
    ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "age": Y}, {"target": "age"}, ": has x_train, y_train, x_test and y_test, which `data.target` does not go with\n    Leave it out, or name the array of inputs, `data: {input: …}`."),
    ({"x": X, "y": Y, "a": Y, "b": Y}, {"target": ["a", "b"]}, ": wants one array of targets, got ['a', 'b'] (data.target)\n    Save them as the columns of one, `np.stack([a, b], axis=1)`."),
    ({"x_train": X, "y_train": Y // 2, "x_test": X, "y_test": Y}, {}, ": y_test has classes that y_train has not"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "options", "message"), ARRAYS, ids=[message[2:40] for _, _, message in ARRAYS])
def test_arrays_that_do_not_fit_are_told(arrays: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(CnnkitError) as caught:
        open_source(Data.model_validate({"npz": str(tmp_path / "d.npz"), **options}))
    assert str(caught.value) == f"{tmp_path / 'd.npz'}{message}"


def test_an_npy_file_wants_its_targets_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(CnnkitError) as caught:
        open_source(Data.model_validate({"npy": str(tmp_path / "x.npy")}))
    assert (
        str(caught.value)
        == f"{tmp_path / 'x.npy'}: which file holds the targets is not said\n    Name it: `data: {{target: targets.npy}}`."
    )


def pictures(folder: Path, **sizes: tuple[int, int]) -> Path:
    for name, size in sizes.items():
        (folder / "photos" / name).mkdir(parents=True)
        Image.new("RGB", size).save(folder / "photos" / name / "1.png")
    return folder / "photos"


def opened(folder: Path, **options: Any) -> Any:
    return open_source(Data.model_validate({"folder": str(folder), **options}))


def test_folders_that_hold_no_classes_are_told(tmp_path: Path) -> None:
    wanted = "Name a folder with a folder of images a class."
    for path, message in ((tmp_path / "none", "there is no such folder"), (tmp_path / "file", "is not a folder")):
        (tmp_path / "file").write_text("")
        with pytest.raises(CnnkitError) as caught:
            opened(path)
        assert str(caught.value) == f"{path}: {message}\n    {wanted}"
    with pytest.raises(CnnkitError) as caught:
        opened(pictures(tmp_path, one=(4, 4)))
    assert str(caught.value).startswith(
        f"{tmp_path / 'photos'}: two or more folders with images are wanted, a folder a class; there is only one, one\n    Images end in .jpg, "
    )


def test_pictures_of_several_sizes_want_one_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path, one=(4, 5), two=(8, 6))
    with pytest.raises(CnnkitError) as caught:
        opened(folder)
    assert str(caught.value) == (
        "photos: the images are not all of one size (heights and widths from (5, 4) to (6, 8))\n    Write one: `data: {image_size: 160}`."
    )
    with pytest.raises(CnnkitError) as caught:
        opened(folder, max_pixels=10)
    assert str(caught.value) == (
        "photos: the images are not all of one size (no readable image)\n    Write one: `data: {image_size: 160}`."
    )
    assert opened(folder, image_size=[3, 2]).spec.input_shape == (3, 2, 3)
    assert opened(folder, image_size=7, color="grey").spec.input_shape == (7, 7, 1)


def test_a_class_that_is_not_there_and_a_list_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = pictures(tmp_path, one=(4, 4), two=(4, 4))
    with pytest.raises(CnnkitError) as caught:
        opened(folder, classes=["one", "tow"])
    assert (
        str(caught.value) == f"{folder}: has no images of class 'tow'. Did you mean 'two'?\n    Mend `data.classes`, or add images of it."
    )
    with pytest.raises(CnnkitError) as caught:
        opened(folder, exclude=str(tmp_path / "no.txt"))
    assert str(caught.value) == (
        f"{tmp_path / 'no.txt'}: the list of files to exclude cannot be read\n    Write it with `cnnkit data check --quarantine`."
    )
    (tmp_path / "all.txt").write_text("# a comment\none/1.png\tbroken\n\ntwo/1.png\n")
    with pytest.raises(CnnkitError) as caught:
        opened(folder, exclude=str(tmp_path / "all.txt"))
    assert str(caught.value).startswith("photos: has no image files\n    Wanted are files that end in .jpg, ")


def test_what_is_passed_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache")
    folder = pictures(tmp_path, **{"train/one": (4, 4), "train/two": (4, 4), "test/one": (4, 4), "test/empty": (4, 4), "more/one": (4, 4)})
    (folder / "test" / "empty" / "1.png").unlink()
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    (tmp_path / "bad.txt").write_text("train/three/1.png\ntest/one/1.png\n")
    dataset = opened(folder, exclude=str(tmp_path / "bad.txt")).load(Request(0, tmp_path, ()))
    assert dataset.notices[:4] == (
        f"{folder}: beside the splits, these folders are passed over: more.",
        f"{folder}: these folders have no images and are not classes: test/empty.",
        f"{folder}: 1 images lie beside the class folders and are passed over.",
        "1 file is left out, as bad.txt says.",
    )
