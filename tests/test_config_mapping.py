"""A config as a Python mapping is the config of a YAML file with the same values, and is refused for the same reasons."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import yaml

from cnnkit.config.load import load_config
from cnnkit.config.mapping import override_text, read_mapping
from cnnkit.config.packaged import folder, names, packaged_config
from cnnkit.config.yaml_loader import parse_value
from cnnkit.errors import ConfigError


@pytest.mark.parametrize("name", names())
def test_every_packaged_config_is_the_same_as_a_mapping(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML reads them, for it is not the reader under test; it takes `1e-3` for a text."""
    monkeypatch.chdir(folder())  # a mapping names files from the working directory, a config from its own
    loaded = load_config([packaged_config(name)])
    text = re.sub(r"\b\d+(\.\d+)?e-\d+\b", lambda number: f"{float(number[0]):.20f}", packaged_config(name).read_text())
    values = yaml.safe_load(text)
    assert load_config([{"name": name, **values}]).config == loaded.config


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((1, [2]), [1, [2]]),
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (range(2), [0, 1]),
        (PurePosixPath("a/b"), "a/b"),
        (1e-7, 1e-7),
        (-(2**40), -(2**40)),
        ("1e-3", "1e-3"),
        ("no: 'text' # \"\\ ü 日本 \t", "no: 'text' # \"\\ ü 日本 \t"),
        ("true", "true"),
        ({}, {}),
        (None, None),
        (True, True),
    ],
)
def test_values_arrive_as_they_are(given: Any, read: Any) -> None:
    for value in (read_mapping({"key": given}).value["key"], parse_value(override_text("key", given).partition("=")[2], "")):
        assert value == read
        assert type(value) is type(read)


def test_a_name_comes_from_the_mapping_or_is_run() -> None:
    config = {"data": {"dataset": "digits"}, "model": {"layers": ["Flatten", {"Dense": {"units": 10, "activation": "softmax"}}]}}
    assert load_config([config]).config.name == "run"
    assert load_config([{**config, "name": "mine"}]).config.name == "mine"
    assert load_config([packaged_config("digits"), config]).config.name == "digits"


def test_relative_paths_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_config([{"data": {"folder": "photos"}, "model": {"layers": [{"Dense": {"units": 2}}]}}])
    assert loaded.config.data.folder == str(tmp_path / "photos")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "config: data: is missing\nconfig: model: is missing"),
        ({"model": object}, "config: model: is a type, which a config cannot hold\n"),
        ({"model": {"layers": [{(1, 2): 3}]}}, "config: model.layers[0]: the key (1, 2) is a tuple, not a text\n"),
        ({"x" * 200: 1}, "config: a key of 200 characters; at most 100 are allowed\n"),
    ],
    ids=["empty", "type", "key", "long key"],
)
def test_what_yaml_cannot_hold_is_refused_by_its_path(config: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config([config])
    assert str(refused.value).startswith(message)
