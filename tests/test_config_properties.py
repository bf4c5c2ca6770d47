"""The config loader on any text and any value: scalars as the YAML 1.2 specification reads them, nothing lost on the way back."""

import contextlib
import math
import re
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cnnkit.config.packaged import folder
from cnnkit.config.stack import stack
from cnnkit.config.yaml_loader import Document, parse, parse_value
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.data.binding import load
from cnnkit.errors import CnnkitError

quick = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="\ufeff\ufffe\u2028\u2029\x85"), max_size=40)
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True).filter(lambda key: spec_value(key) == key)
scalars = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12)


def spec_value(text: str) -> Any:
    """A plain scalar by the table in section 10.3.2 of the YAML 1.2.2 specification, written down once more."""
    table = (
        (r"null|Null|NULL|~|", lambda _: None),
        (r"true|True|TRUE|false|False|FALSE", lambda word: word.lower() == "true"),
        (r"[-+]?[0-9]+", int),
        (r"0o[0-7]+", lambda digits: int(digits[2:], 8)),
        (r"0x[0-9a-fA-F]+", lambda digits: int(digits[2:], 16)),
        (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
        (r"[-+]?(\.inf|\.Inf|\.INF)", lambda word: -math.inf if word[0] == "-" else math.inf),
        (r"\.nan|\.NaN|\.NAN", lambda _: math.nan),
    )
    return next((read(text) for pattern, read in table if re.fullmatch(pattern, text, re.ASCII)), text)


def same(one: Any, other: Any) -> bool:
    """Equal in kind and value, NaN equal to itself."""
    return type(one) is type(other) and (one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other)))


@given(st.from_regex(r"[-+]?[0-9.]{1,6}([eE][-+]?[0-9]{1,2})?|0[ox][0-9a-fA-F]{1,5}|[-+]?\.(inf|nan|Inf|NaN|INF|NAN)", fullmatch=True)
       | st.sampled_from(["on", "off", "yes", "no", "y", "n", "True", "TRUE", "tRUE", "null", "Null", "nULL", "~", "010", "1_000", "12:30:45", "2024-01-01", "0b11", "1e3", "1e-3", "+.5", "5.", ".", "-", "0x", "0o8"]))  # fmt: skip
@quick
def test_plain_scalars_mean_what_yaml_1_2_says(text: str) -> None:
    if text in ("-", ".") or text.startswith("- "):
        return
    assert same(parse_value(text, "x"), spec_value(text)), text


@given(st.dictionaries(keys, values, min_size=1, max_size=5))
@example({"name": "0E0", "1e3": "0o7"})  # numbers of YAML 1.2, but texts to PyYAML
@quick
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert parse(write_yaml(value), "x").value == value


@given(st.text(max_size=200) | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01.<~", max_size=60))
@settings(quick, max_examples=500)
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse, parse_value):
        with contextlib.suppress(CnnkitError):
            read(text, "x")


@given(st.binary(max_size=300))
@settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused(tmp_path_factory: Any, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with contextlib.suppress(CnnkitError):
        load([path])


@given(st.lists(keys, min_size=1, max_size=4), values)
@quick
def test_an_override_sets_that_entry_and_no_other(path: list[str], value: Any) -> None:
    below = {"kept": {"a": [1, {"b": 2}]}}
    text = write_yaml(value, flow=True, width=10**6).removesuffix("\n...\n").strip()
    if path[0] == "kept":
        return
    got = stack([Document(below, {}, {})], [f"{'.'.join(path)}={text}"]).value
    expected: Any = value
    for key in reversed(path[1:]):
        expected = {key: expected}
    assert got == {**below, path[0]: expected}


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "train.epochs": st.integers(1, 1000),
        "data.batch_size": st.integers(1, 65536),
        "seed": st.integers(0, 2**31 - 1),
        "data.validation": st.sampled_from(["test", 0.1, 0, "1/5"]),
        "data.limit": st.none() | st.integers(1, 10**6),
        "train.optimizer": st.sampled_from(["adam", "{Adam: {learning_rate: 1e-3}}", "{SGD: {momentum: 0.9, nesterov: true}}"]),
        "data.augment": st.sampled_from(["[]", "[RandomFlip]", "[{RandomRotation: {factor: 1/12}}]"]),
        "train.callbacks": st.sampled_from(["[]", "[{EarlyStopping: {monitor: loss, patience: 3}}]"]),
        "model.layers[0].Conv2D.filters": st.integers(1, 4096),
    },
)


@given(CHANGES)
@settings(quick, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_resolved_config_loads_to_itself(tmp_path_factory: Any, changes: dict[str, Any]) -> None:
    overrides = [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    first = load([folder() / "cifar.yaml"], overrides)
    path: Path = tmp_path_factory.getbasetemp() / "resolved.yaml"
    path.write_text(first.as_yaml(), encoding="utf-8")
    again = load([path])
    assert again.config == first.config
    assert again.as_yaml() == first.as_yaml()
