"""The YAML loader's scalars and marks, stacked files and overrides."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.config.load import load_config
from cnnkit.config.stack import stack
from cnnkit.config.yaml_loader import Document, parse
from cnnkit.errors import ConfigError

KEYS = st.text("abcdefgh_", min_size=1, max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
def test_what_pyyaml_writes_is_read_back_the_same(value: dict[str, object]) -> None:
    assert parse(yaml.safe_dump(value, allow_unicode=True), "t").value == value


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.characters(codec="utf-8"), max_size=80) | st.text("{}[]:,-&*!|>'\"#%@`a \n\t?", max_size=40))
def test_any_text_gives_a_document_or_a_config_error(text: str) -> None:
    try:
        document = parse(text, "t")
    except ConfigError:
        return
    assert isinstance(document, Document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), (".5", 0.5), ("010", 10), ("0o17", 15), ("0x1F", 31), ("no", "no"), ("on", "on"), ("true", True), ("~", None),
        ("12:30:45", "12:30:45"), ("2026-01-02", "2026-01-02"), ("1_000", "1_000"), ("1/255", "1/255"), ("'1'", "1"), ("-7", -7),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = parse(f"a: {text}", "t").value["a"]
    assert (read, type(read)) == (value, type(value))


def test_marks_point_to_the_text_of_keys_and_values() -> None:
    lines = ["train:", "  epochs: 3", "  list: [a, {deep: 1}]"]
    document = parse("\n".join(lines), "t")
    for path, mark in document.keys.items():
        if isinstance(path[-1], str):
            assert lines[mark.line - 1][mark.column - 1 :].startswith(f"{path[-1]}:")
    mark = document.values["train", "epochs"]
    assert lines[mark.line - 1][mark.column - 1 :] == "3"


def test_later_files_win_and_keep_their_place() -> None:
    below = parse("train: {optimizer: {Adam: {learning_rate: 1}}, epochs: 2}\nlist: [1, 2]", "below.yaml")
    above = parse("train: {optimizer: {SGD: {momentum: 0.9}}}\nlist: [3]", "above.yaml")
    merged = stack([below, above], [])
    assert merged.value == {"train": {"optimizer": {"SGD": {"momentum": 0.9}}, "epochs": 2}, "list": [3]}
    assert str(merged.mark(("train", "optimizer", "SGD", "momentum"))) == "above.yaml:1:37"
    assert str(merged.mark(("train", "epochs"))) == "below.yaml:1:56"
    same = stack([below, parse("train: {optimizer: {Adam: {beta_1: 0.5}}}", "c")], [])
    assert same.value["train"]["optimizer"] == {"Adam": {"learning_rate": 1, "beta_1": 0.5}}
    assert below.value["list"] == [1, 2]


def test_mappings_of_names_to_numbers_merge_whatever_their_size() -> None:
    """`train.class_weight` and `train.learning_rate_factors`: their keys may be in upper case, and are no Keras objects."""
    below = parse("class_weight: {Cat: 2}\noptimizer: {Adam: null}", "below.yaml")
    above = parse("class_weight: {Dog: 3}\noptimizer: {SGD: {momentum: 0.9}}", "above.yaml")
    merged = stack([below, above], []).value
    assert merged == {"class_weight": {"Cat": 2, "Dog": 3}, "optimizer": {"SGD": {"momentum": 0.9}}}


def test_a_key_with_dots_that_is_there_is_named_as_errors_name_it() -> None:
    document = parse("f: {BatchNormalization.beta: 64, a.b: {c: 1}, a: {b: 2}}", "t")
    result = stack([document], ["f.BatchNormalization.beta=8", "f.a.b.c=2", "f.a.d=3"])
    assert result.value == {"f": {"BatchNormalization.beta": 8, "a.b": {"c": 2}, "a": {"b": 2, "d": 3}}}
    assert str(result.mark(("f", "BatchNormalization.beta"))) == "--set f.BatchNormalization.beta=8"


def test_a_key_with_dots_of_a_mapping_to_numbers_need_not_be_there() -> None:
    document = parse("train: {class_weight: balanced, learning_rate_factors: {Dense: 2}}", "t")
    result = stack([document], ["train.learning_rate_factors.BatchNormalization.beta=8", "train.learning_rate_factors.Dense.bias=3"])
    assert result.value["train"]["learning_rate_factors"] == {"Dense": 2, "BatchNormalization.beta": 8, "Dense.bias": 3}
    assert stack([parse("{}", "t")], ["train.class_weight.v1.2=3"]).value == {"train": {"class_weight": {"v1.2": 3}}}


def test_overrides_replace_by_path_and_are_named() -> None:
    document = parse("model: {layers: [Flatten, {Dense: {units: 3}}]}", "t")
    result = stack([document], ["model.layers[-1].Dense.units=4", "train.epochs=1e1", "model.layers.0={Conv2D: {filters: 2}}", "seed="])
    assert result.value == {
        "model": {"layers": [{"Conv2D": {"filters": 2}}, {"Dense": {"units": 4}}]},
        "train": {"epochs": 10.0},
        "seed": None,
    }
    assert str(result.mark(("model", "layers", 1, "Dense", "units"))) == "--set model.layers[-1].Dense.units=4"


def test_entries_that_an_override_makes_above_its_own_are_named_by_it() -> None:
    documents = [parse("train: {epochs: 2}\nmodel:\n  base:\n", "t")]
    result = stack(documents, ["train.optimiser.SGD.momentum=0.9", "train.optimiser.Adam=1", "model.base.Resnet.alpha=1"])
    first, second, third = (
        f"--set {each}" for each in ("train.optimiser.SGD.momentum=0.9", "train.optimiser.Adam=1", "model.base.Resnet.alpha=1")
    )
    assert str(result.keys[("train", "optimiser")]) == first
    for path in (("optimiser",), ("optimiser", "SGD"), ("optimiser", "SGD", "momentum")):
        assert str(result.mark(("train", *path))) == first
    assert str(result.mark(("train", "optimiser", "Adam"))) == second
    assert str(result.mark(("train", "epochs"))) == "t:1:17"
    assert str(result.keys[("model", "base")]) == "t:3:3"  # the key is there, without a value
    assert str(result.mark(("model", "base", "Resnet"))) == third


def test_a_misspelt_entry_above_an_override_is_told_with_the_override(tmp_path: Path) -> None:
    network = "{layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}"
    (tmp_path / "c.yaml").write_text(f"data: {{dataset: digits}}\nmodel: {network}\ntrain: {{epochs: 2}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config([tmp_path / "c.yaml"], ["train.optimiser.SGD.momentum=0.9"])
    assert str(caught.value) == "--set train.optimiser.SGD.momentum=0.9: train.optimiser: unknown key. Did you mean 'optimizer'?"


def test_a_list_of_files_to_exclude_is_relative_to_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "c.yaml"
    config.write_text("data: {folder: pictures, exclude: bad.txt}\nmodel: {layers: [Flatten, {Dense: {units: outputs}}]}\n")
    monkeypatch.chdir(tmp_path)
    assert load_config([Path("configs/c.yaml")]).config.data.exclude == str(tmp_path / "configs" / "bad.txt")
    assert load_config([config], ["data.exclude=worse.txt"]).config.data.exclude == str(tmp_path / "worse.txt")


def test_every_override_that_cannot_be_applied_is_told() -> None:
    document = parse("train: {epochs: 2}\nlayers: [Flatten]", "t")
    with pytest.raises(ConfigError) as caught:
        stack([document], ["x", "layers[3]=1", "layers.a=1", "train.epochs.y=1", "a..b=1", "a=[1"])
    assert str(caught.value) == (
        "--set a..b=1: 'a..b' is not a path to an entry\n    Write it as in `model.layers[0].Conv2D.filters`.\n"
        "--set a=[1: this '[' is not closed, or a ',' is missing in it\n    Close it with ']'.\n"
        "--set layers.a=1: layers: is a list, so 'a' names nothing in it\n    Name an item by its number: `[0]`.\n"
        "--set layers[3]=1: layers: has 1 items, so there is no [3]\n    The last one is [0].\n"
        "--set train.epochs.y=1: train.epochs: is 2, so nothing stands below it\n    Set `train.epochs` itself.\n"
        "--set x: wants KEY=VALUE\n    Write it as in `--set train.epochs=3`."
    )


def test_recursive_aliases_and_deep_nesting_are_refused() -> None:
    for text, message in (
        ("a: &a [*a]", "an alias is inside what it refers to"),
        ("a: " + "[" * 40 + "]" * 40, "lists and mappings are nested more than 32 deep"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse(text, "t")
