"""`.keras` files of every other origin: loaded only where they are as Keras writes them, refused in a plain sentence otherwise.

Over 300 lines: every way in which a file was made by hand stands in one table of refusals.
"""

import importlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from cnnkit.artifacts.model_metadata import read_metadata
from cnnkit.errors import CnnkitError
from cnnkit.keras_api.building import first_sentence
from cnnkit.keras_api.signatures import KINDS, REQUIRED, signature_table
from cnnkit.model.loading.config_check import fault_of_config
from cnnkit.model.loading.load import load_model

ZIP_REMEDY = "\n    A .keras file is a zip archive that Keras's model.save wrote."
LAYER_REMEDY = "\n    Build it of Keras's own layers, and save it again."
WEIGHTS_REMEDY = "\n    Keras does not write such files."
COPY_REMEDY = "\n    Copy it again, or train the run again."


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The members of a small compiled model's file."""
    keras.utils.clear_session(free_memory=False)  # names count from the start, whatever was built before
    inputs = keras.Input((6, 6, 2), name="x")
    hidden = keras.layers.Conv2D(3, 3, activation="relu", name="conv")(keras.ops.flip(inputs, axis=-1))
    outputs = keras.layers.Dense(2, name="answer")(keras.layers.Flatten(name="flat")(hidden))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse", metrics=[keras.metrics.MeanAbsoluteError()])
    model.optimizer.build(model.trainable_variables)
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CnnkitError) as caught:
        load_model(path)
    return str(caught.value).replace(str(path), "FILE")


def with_config(saved: dict[str, bytes], change: Callable[[Any], None]) -> dict[str, bytes]:
    config = json.loads(saved["config.json"])
    change(config)
    return {**saved, "config.json": json.dumps(config).encode()}


def with_weights(saved: dict[str, bytes], change: Callable[[h5py.File], None]) -> dict[str, bytes]:
    buffer = io.BytesIO(saved["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return {**saved, "model.weights.h5": buffer.getvalue()}


def layer(config: Any, name: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["name"] == name)


def test_what_keras_wrote_is_loaded_with_its_weights_and_its_optimizer(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "m.keras", saved)
    ours, theirs = load_model(path), keras.saving.load_model(path)
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))
    assert [type(ours.optimizer), len(ours.optimizer.variables)] == [keras.optimizers.Adam, len(theirs.optimizer.variables)]


def test_files_that_are_no_model_are_named_for_what_they_are(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    whole = write(tmp_path / "whole.keras", saved).read_bytes()
    contents = {
        b"": "FILE: is empty" + COPY_REMEDY,
        b"some words": "FILE: is not a .keras file, or was cut short" + ZIP_REMEDY,
        whole[: len(whole) // 2]: "FILE: was cut short: the end of the archive is missing" + ZIP_REMEDY,
        saved["model.weights.h5"]: "FILE: is an HDF5 file (.h5), a form that Keras wrote before version 3" + ZIP_REMEDY,
        b"\x80\x04N.": "FILE: is a Python pickle, which cnnkit never opens" + ZIP_REMEDY,
    }
    for content, message in contents.items():
        path.write_bytes(content)
        assert refusal(path) == message
    archives = {
        "archive/data.pkl": "FILE: is a PyTorch file, which holds Python pickles, not a .keras file",
        "[Content_Types].xml": "FILE: is an Office document, not a .keras file",
        "notes.txt": "FILE: is another zip archive, not a .keras file",
    }
    for member, message in archives.items():
        assert refusal(write(path, {member: b"x"})) == message + ZIP_REMEDY
    (tmp_path / "folder.keras").mkdir()
    assert refusal(tmp_path / "folder.keras") == "FILE: is a folder, not a .keras file" + ZIP_REMEDY
    (tmp_path / "folder.keras" / "saved_model.pb").touch()
    assert refusal(tmp_path / "folder.keras") == "FILE: is a folder (a SavedModel), not a .keras file" + ZIP_REMEDY


def test_a_changed_byte_is_noticed_by_its_checksum(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "m.keras", saved)
    content = bytearray(path.read_bytes())
    place = content.index(b"\x89HDF") + len(saved["model.weights.h5"]) // 2
    content[place] ^= 1
    path.write_bytes(content)
    assert refusal(path) == "FILE: is damaged (\"Bad CRC-32 for file 'model.weights.h5'\")" + COPY_REMEDY


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "..\\outside", "C:\\outside", "assets/../../outside", "model.weights.npz"])
def test_members_that_keras_does_not_write_are_refused_and_nothing_is_extracted(saved: dict[str, bytes], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = write(folder / "m.keras", {**saved, name: b"evil"})
    assert refusal(path) == f"FILE: holds {name!r}, which Keras does not write" + ZIP_REMEDY
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["m.keras"]


def test_archives_packed_otherwise_are_refused(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    write(path, saved, zipfile.ZIP_DEFLATED)
    assert refusal(path) == "FILE: is compressed or encrypted, which Keras does not do\n    Load it with Keras and save it again."
    write(path, {**saved, "config.json": b" " * (17 * 2**20)})
    assert refusal(path) == "FILE: its config.json is damaged ('larger than 16 MB')" + COPY_REMEDY
    write(path, {**saved, "config.json": b"[" * 100_000})
    assert refusal(path) == "FILE: its config.json is damaged ('nested too deep')" + COPY_REMEDY
    write(path, {name: content for name, content in saved.items() if name != "model.weights.h5"})
    assert refusal(path) == "FILE: has no model.weights.h5\n    Save it with Keras 3's model.save."
    write(path, {**saved, "assets/vocabulary.txt": b"a"})
    assert refusal(path) == (
        "FILE: holds a file of its own, 'assets/vocabulary.txt', for a layer such as StringLookup"
        "\n    cnnkit loads models without such layers only."
    )


def test_two_members_of_one_name_are_refused(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "m.keras", saved)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", saved["config.json"])
    assert refusal(path) == "FILE: holds two members of one name" + ZIP_REMEDY


def test_a_zip_bomb_is_refused_before_it_is_unpacked(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "m.keras", {**saved, "model.weights.h5": bytes(2**28)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    assert refusal(path) == "FILE: is compressed or encrypted, which Keras does not do\n    Load it with Keras and save it again."


def own_code(config: Any) -> None:
    layer(config, "flat").update(module="os", class_name="system", registered_name=None)


def registered(config: Any) -> None:
    layer(config, "flat").update(module=None, class_name="Mine", registered_name="Custom>Mine")


def a_lambda(config: Any) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}
    layer(config, "conv")["config"]["activation"] = code


def a_function(config: Any) -> None:
    layer(config, "conv")["config"]["activation"] = {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
    }


def constants_only(config: Any) -> None:
    layer(config, "flip")["inbound_nodes"] = [
        {"args": [{"class_name": "__numpy__", "config": {"value": [1], "dtype": "int8"}}], "kwargs": {}}
    ]


def giant_text(config: Any) -> None:
    layer(config, "conv")["config"]["name"] = {"class_name": "__numpy__", "config": {"value": [""], "dtype": "U999999999"}}


def a_file(config: Any) -> None:
    layer(config, "flat")["config"]["vocabulary"] = "/etc/passwd"


def giant_metric(config: Any) -> None:
    config["compile_config"]["metrics"][0] = {
        "module": "keras.metrics",
        "class_name": "AUC",
        "config": {"num_thresholds": 10**9},
        "registered_name": None,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (own_code, "holds 'system' of 'os', which is not Keras's own: cnnkit runs no code from a model file"),
        (registered, "holds 'Custom>Mine' of null, which is not Keras's own: cnnkit runs no code from a model file"),
        (a_lambda, "holds code of its own, which cnnkit does not run: a Lambda"),
        (a_function, "holds 'get_file' of 'keras.utils', which is not Keras's own: cnnkit runs no code from a model file"),
        (constants_only, "computes with constants while it is loaded"),
        (giant_text, "holds values of type 'U999999999'"),
        (a_file, "names a file, '/etc/passwd', to be read while it is loaded"),
        (giant_metric, "gives AUC a table of 1,000,000,000 entries; at most 8,192 are allowed"),
    ],
)  # fmt: skip
def test_configs_of_other_than_keras_own_objects_are_refused(
    saved: dict[str, bytes], tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    path = write(tmp_path / "m.keras", with_config(saved, change))
    assert refusal(path) == f"FILE: {message}{LAYER_REMEDY}"


@pytest.mark.parametrize(
    "name", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "TextVectorization"]
)
def test_layers_that_run_code_or_read_files_are_refused_by_name(saved: dict[str, bytes], tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "m.keras", with_config(saved, lambda config: layer(config, "flat").update(class_name=name)))
    reasons = {"StringLookup": "it reads files of its own", "TextVectorization": "it reads files of its own"}
    expected = f"holds a {name}, which cnnkit does not load: {reasons.get(name, 'it runs code of its own')}"
    assert (
        refusal(path)
        == "FILE: " + ("holds code of its own, which cnnkit does not run: a Lambda" if name == "Lambda" else expected) + LAYER_REMEDY
    )


def test_a_giant_network_over_small_weights_is_refused_before_its_memory_is_taken(saved: dict[str, bytes], tmp_path: Path) -> None:
    def grow(config: Any) -> None:
        layer(config, "answer")["config"]["units"] = 10**9

    path = write(tmp_path / "m.keras", with_config(saved, grow))
    made = keras.Variable.__init__
    assert refusal(path) == "FILE: describes a network of more weights than the 467 that it holds"
    assert keras.Variable.__init__ is made


def external_link(file: h5py.File) -> None:
    file["layers/conv/vars/x"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: h5py.File) -> None:
    file["layers/conv/vars/x"] = h5py.SoftLink("/layers")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def shape_bomb(file: h5py.File) -> None:
    file.create_dataset("x", (10**12,), "f4")


def unwritten(file: h5py.File) -> None:
    file.create_dataset("x", (100,), "f4")


def compressed(file: h5py.File) -> None:
    file.create_dataset("x", (1000,), "f4", compression="gzip")


def texts(file: h5py.File) -> None:
    file["x"] = "text"


def circle(file: h5py.File) -> None:
    file["layers/again"] = file["layers"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_link, "'/layers/conv/vars/x' are a ExternalLink, which may lead to other files"),
        (soft_link, "'/layers/conv/vars/x' are a SoftLink, which may lead to other files"),
        (external_storage, "'/x' are in another file"),
        (virtual, "'/x' are in another file"),
        (shape_bomb, "'/x' take 4,000,000,000,000 bytes, but 0 are there"),
        (unwritten, "'/x' take 400 bytes, but 0 are there"),
        (compressed, "'/x' are compressed"),
        (texts, "'/x' are of type 'object', not numbers"),
        (circle, "'/layers/again' are there twice"),
    ],
)  # fmt: skip
def test_weights_that_are_not_plain_numbers_in_this_file_are_refused(
    saved: dict[str, bytes], tmp_path: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    path = write(tmp_path / "m.keras", with_weights(saved, change))
    assert refusal(path) == f"FILE: weights {message}{WEIGHTS_REMEDY}"


def test_weights_of_another_network_are_told(saved: dict[str, bytes], tmp_path: Path) -> None:
    inputs = keras.Input((6, 6, 2))
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(9, 3, name="conv")(inputs))
    keras.Model(inputs, keras.layers.Dense(2, name="answer")(hidden)).save(tmp_path / "other.keras")
    with zipfile.ZipFile(tmp_path / "other.keras") as archive:
        path = write(tmp_path / "m.keras", {**saved, "model.weights.h5": archive.read("model.weights.h5")})
    assert refusal(path) == "FILE: its weights are of another network: conv/kernel is (3, 3, 2, 3), but (3, 3, 2, 9) is stored"
    path = write(tmp_path / "m.keras", {**saved, "model.weights.h5": b"no HDF5 at all"})
    assert refusal(path) == (
        "FILE: its weights cannot be read ('Unable to synchronously open file (file signature not foun…)\n    Copy the file again, or train the run again."
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"[" * 100_000, "ValueError"), (b"{}", "KeyError"), (b'{"data": 1', "JSONDecodeError"), (b"\xff", "UnicodeDecodeError"), (b"3", "TypeError")],
)  # fmt: skip
def test_a_damaged_meaning_beside_a_model_is_told(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(CnnkitError) as caught:
        read_metadata(tmp_path / "model.keras")
    assert str(caught.value) == f"{tmp_path / 'model.json'}: is damaged ({kind})\n    Train the run again."


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def instance(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


ESCAPES = ("keras.models", "clone_model"), ("keras.layers", "deserialize"), ("keras.ops", "zeros"), ("keras.saving", "load_model")
PLACES: dict[str, Callable[[Any, Any], Any]] = {  # where an object stands in a model -> how to put another one there
    "a layer": lambda config, thing: layer(config, "flat").update(thing),
    "an activation": lambda config, thing: layer(config, "conv")["config"].update(activation=thing),
    "an initializer": lambda config, thing: layer(config, "conv")["config"].update(kernel_initializer=thing),
    "a regularizer": lambda config, thing: layer(config, "conv")["config"].update(bias_regularizer=thing),
    "a constraint": lambda config, thing: layer(config, "conv")["config"].update(kernel_constraint=thing),
    "a dtype": lambda config, thing: layer(config, "conv")["config"].update(dtype=thing),
    "a plain value": lambda config, thing: layer(config, "conv")["config"].update(filters=thing),
    "an optimizer": lambda config, thing: config["compile_config"].update(optimizer=thing),
    "a learning-rate schedule": lambda config, thing: config["compile_config"]["optimizer"]["config"].update(learning_rate=thing),
    "a loss": lambda config, thing: config["compile_config"].update(loss={"answer": thing}),
    "a metric": lambda config, thing: config["compile_config"].update(metrics=[thing]),
}


@pytest.mark.parametrize("place", PLACES)
def test_each_place_takes_only_objects_of_its_kind(saved: dict[str, bytes], place: str) -> None:
    strangers = [kind(*name) for kind in (function, instance) for name in ESCAPES]
    strangers += [function("keras.src.layers", "Lambda"), function("keras.layers", "TFSMLayer"), instance("keras.layers", "TFSMLayer")]
    strangers += [
        instance("keras.callbacks", "CSVLogger", filename="/tmp/x"),
        function("builtins", "exec"),
        function("builtins", "deserialize"),
    ]
    strangers += (
        [instance("keras.layers", "Dense", units=2)] if place not in ("a layer", "an activation") else [instance("keras.losses", "Dice")]
    )
    if place != "a plain value":
        strangers.append({"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}})
    for thing in strangers:
        config = json.loads(saved["config.json"])
        PLACES[place](config, thing)
        assert fault_of_config(config), f"{thing} got past as {place}"


def test_a_function_where_an_object_belongs_is_named_with_its_place(saved: dict[str, bytes], tmp_path: Path) -> None:
    def clone(config: Any) -> None:
        PLACES["a layer"](config, function("keras.models", "clone_model"))

    assert refusal(write(tmp_path / "m.keras", with_config(saved, clone))) == (
        f"FILE: holds 'clone_model' of 'keras.models' where a layer belongs{LAYER_REMEDY}"
    )


def no_module(config: Any) -> None:
    del layer(config, "flat")["module"]


def escapes_in_a_name(config: Any) -> None:
    layer(config, "conv")["config"]["name"] = "a\x1b[31mb"


def escapes_in_the_model_name(config: Any) -> None:
    config["config"]["name"] = "a\nb"


def long_name(config: Any) -> None:
    config["config"]["name"] = "a" * 100_000


def words_as_constants(config: Any) -> None:
    layer(config, "flat")["inbound_nodes"][0]["args"].append({"class_name": "__tensor__", "config": {"value": ["a"], "dtype": "float32"}})


def sequential(config: Any, layers: list[Any]) -> None:
    config.update(
        module="keras", class_name="Sequential", registered_name="Sequential", config={"name": "s", "layers": [layer(config, "x"), *layers]}
    )
    del config["compile_config"]


def many_layers(config: Any) -> None:
    sequential(config, [instance("keras.layers", "Activation", activation="relu")] * 9_000)


def many_cells(config: Any) -> None:
    cells = [instance("keras.layers", "SimpleRNNCell", units=1)] * 300
    sequential(config, [instance("keras.layers", "RNN", cell=instance("keras.layers", "StackedRNNCells", cells=cells))])


def many_layers_of_a_cell(config: Any) -> None:
    sequential(config, [instance("keras.layers", "RNN", cell=instance("keras.layers", "SimpleRNNCell", units=1))] * 201)


def many_thresholds(config: Any) -> None:
    config["compile_config"]["metrics"] = [instance("keras.metrics", "AUC", thresholds=[0.5] * 200_000)]


def a_number_as_layer(config: Any) -> None:
    config["config"]["layers"].append(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_module, "holds 'Flatten' of null, which is not Keras's own: cnnkit runs no code from a model file"),
        (escapes_in_a_name, "holds the text 'a\\x1b[31mb', with a character that cannot be printed"),
        (escapes_in_the_model_name, "holds the text 'a\\nb', with a character that cannot be printed"),
        (long_name, "holds a name of 100,000 characters; at most 200 are allowed"),
        (words_as_constants, "holds an array of something else than numbers"),
        (many_layers, "has more than 3,000 layers"),
        (many_layers_of_a_cell, "has more than 200 recurrent cells"),
        (many_cells, "has more than 200 recurrent cells"),
        (many_thresholds, "gives AUC a table of 200,000 entries; at most 8,192 are allowed"),
        (a_number_as_layer, "holds 3 where a layer belongs"),
    ],
)  # fmt: skip
def test_what_would_end_inside_keras_or_take_minutes_is_refused_at_once(
    saved: dict[str, bytes], change: Callable[[Any], None], message: str
) -> None:
    config = json.loads(saved["config.json"])
    change(config)
    assert fault_of_config(config) == message


def renumbered(count: int) -> list[Any]:
    return [{**instance("keras.layers", "ReLU"), "config": {"name": f"relu_{number}"}} for number in range(count)]


def test_a_long_sequential_model_is_built_once_and_not_again_for_each_layer(
    saved: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]
    call = keras.layers.ReLU.__call__

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        calls[0] += isinstance(self, keras.layers.ReLU)
        return call(self, *arguments, **options)

    monkeypatch.setattr(keras.layers.ReLU, "__call__", counted)
    path = write(tmp_path / "m.keras", with_config(saved, lambda config: sequential(config, renumbered(60))))
    assert len(load_model(path).layers) == 60
    assert calls[0] == 60
    keras.Sequential([keras.Input((4, 4, 1)), *(keras.layers.ReLU() for _ in range(60))]).save(tmp_path / "own.keras")
    calls[0] = 0
    assert len(load_model(tmp_path / "own.keras").layers) == 60
    assert calls[0] == 60


def test_more_layers_one_after_another_than_keras_can_connect_are_refused_in_plain_words(saved: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "m.keras", with_config(saved, lambda config: sequential(config, renumbered(1_200))))
    assert refusal(path) == "FILE: has more layers one after another than Keras can connect, some 900"


def test_as_many_cells_as_the_limit_are_accepted() -> None:
    model = keras.Sequential([keras.Input((4, 1)), keras.layers.RNN([keras.layers.SimpleRNNCell(1) for _ in range(200)])])
    assert fault_of_config(json.loads(json.dumps(keras.saving.serialize_keras_object(model)))) == ""


def test_a_model_without_known_shapes_is_refused(saved: dict[str, bytes], tmp_path: Path) -> None:
    def unbuilt(config: Any) -> None:
        sequential(config, [layer(config, "flat")])
        del config["config"]["layers"][0]

    assert refusal(write(tmp_path / "m.keras", with_config(saved, unbuilt))) == (
        "FILE: is a model whose shapes are not known\n    Give its first layer an input shape, and save it again."
    )


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("filters", -8, "Invalid value for argument `filters`"),
        ("filters", "8", "'<=' not supported between instances of 'str' and 'int'"),
        ("dtype", "float7", "Cannot convert 'float7' to a mixed precision DTypePolicy"),
        ("zzz", 1, "Unrecognized keyword arguments passed to Conv2D: {'zzz': 1}"),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason_that_keras_gives_and_the_layer(
    saved: dict[str, bytes], tmp_path: Path, key: str, value: Any, reason: str
) -> None:
    path = write(tmp_path / "m.keras", with_config(saved, lambda config: layer(config, "conv")["config"].update({key: value})))
    message = refusal(path)
    assert message.startswith(f"FILE: Keras cannot load it: Conv2D 'conv': {reason}")
    assert "\n" not in message
    assert len(message) < 300


def test_what_keras_says_of_a_file_is_shown_on_one_line_without_control_characters(saved: dict[str, bytes], tmp_path: Path) -> None:
    def strange(config: Any) -> None:
        layer(config, "conv")["config"]["padding"] = "sideways"

    message = refusal(write(tmp_path / "m.keras", with_config(saved, strange)))
    assert message.startswith("FILE: Keras cannot load it: ")
    assert message.isprintable()
    assert first_sentence(ValueError("a\x1b[1mb\x1b[0m \x1b]0;title\x07")) == r"ab \x1b]0;title\x07"


EXAMPLES: dict[str, Any] = {  # an argument that has no default -> a value for it
    "filters": 2, "kernel_size": 3, "units": 2, "rate": 0.2, "factor": 0.1, "height_factor": 0.1, "width_factor": 0.1, "size": 2,
    "output_size": 2, "n": 2, "input_dim": 5, "output_dim": 3, "height": 8, "width": 8, "axes": 1, "target_shape": [-1], "dims": [2, 1],
    "num_heads": 2, "key_dim": 2, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "stddev": 0.1, "activation": "relu",
    "scale": 0.5, "value_range": [0, 255], "num_bins": 4, "pool_size": 2, "num_classes": 3, "target_class_ids": [0], "recall": 0.5,
    "precision": 0.5, "specificity": 0.5, "sensitivity": 0.5, "initial_learning_rate": 0.1, "decay_steps": 5, "first_decay_steps": 5,
    "decay_rate": 0.9, "boundaries": [1], "values": [0.1, 0.01],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["layers", "initializers", "regularizers", "constraints", "optimizers", "losses", "metrics", "schedules"])
def test_every_object_that_a_config_can_name_is_accepted_from_a_saved_model(kind: str) -> None:
    """Each as Keras itself writes it, in the place where it belongs; those with arguments of no example are left out, a few at most."""
    keys = {"layers": "layers", "schedules": "learning_rate", "initializers": "kernel_initializer", "regularizers": "kernel_regularizer"}
    keys |= {"constraints": "kernel_constraint", "optimizers": "optimizer", "losses": "loss", "metrics": "metrics"}
    left_out = []
    for name, signature in signature_table().objects[kind].items():
        wanted = [argument for argument, known in signature.arguments.items() if known.default == REQUIRED]
        arguments: dict[str, Any] = {argument: EXAMPLES[argument] for argument in wanted if argument in EXAMPLES}
        try:
            made = getattr(importlib.import_module(KINDS[kind]), name)(**arguments)
        except (TypeError, ValueError, Warning):
            left_out.append(name)
            continue
        stored = keras.saving.serialize_keras_object(made)
        root = instance("keras", "Functional", **{keys[kind]: [stored] if kind in ("layers", "metrics") else stored})
        assert fault_of_config(json.loads(json.dumps(root))) == "", name
    assert len(left_out) <= 14, left_out


def test_wrapped_layers_and_what_a_base_brings_are_accepted() -> None:
    inputs = keras.Input((8, 3))
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True))(inputs)
    hidden = keras.layers.TimeDistributed(keras.layers.Dense(2, activation=keras.layers.LeakyReLU()))(hidden)
    hidden = keras.layers.RNN([keras.layers.GRUCell(2), keras.layers.LSTMCell(2)])(hidden)
    hidden = keras.ops.log(keras.ops.maximum(hidden, 1e-7)) - np.float32([1, 2])
    model = keras.Model(inputs, keras.activations.relu(hidden, max_value=6))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)))
    model.compile(optimizer, keras.losses.mean_squared_error, metrics=["accuracy", keras.losses.mean_absolute_error])
    assert fault_of_config(json.loads(json.dumps(keras.saving.serialize_keras_object(model)))) == ""
    with keras.StatelessScope(initialize_variables=False):
        base = keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert fault_of_config(json.loads(json.dumps(keras.saving.serialize_keras_object(base)))) == ""
    keras.utils.clear_session(free_memory=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(signature_table().objects["applications"]))
def test_every_base_is_accepted_from_a_saved_model(name: str) -> None:
    with keras.StatelessScope(initialize_variables=False):
        base = getattr(keras.applications, name)(include_top=False, weights=None)
    assert fault_of_config(json.loads(json.dumps(keras.saving.serialize_keras_object(base)))) == ""
    keras.utils.clear_session(free_memory=False)
