"""Validate a config without TensorFlow: schema, Keras signatures and cross-checks, as faults by path."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pydantic

from cnnkit.config.catalogue import built_in_spec
from cnnkit.config.data_check import check_against_data, check_sections
from cnnkit.config.own_words import misplaced_word
from cnnkit.config.schema import OWN_WORDS, Config, KerasObject, OwnBase, Section, Train
from cnnkit.config.target_encoding import target_encodings
from cnnkit.errors import Fault, Path, did_you_mean, format_value
from cnnkit.keras_api.checking import check_entry
from cnnkit.keras_api.optuna_objects import OPTUNA_KINDS, optuna_is_installed

_WANTED = {  # pydantic's error types -> the type expected
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
}

_LIMITS = {  # pydantic's error types -> wording of the limit, key of the limit in the error's context
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "greater_than": ("more than", "gt"),
    "less_than": ("less than", "lt"),
}

_SET_BY_CNNKIT = {  # arguments of a base that cnnkit sets -> the config entry that decides them
    "include_top": "The layers on top are those of `head`.",
    "pooling": "Pool in `head`: GlobalAveragePooling2D.",
    "classes": "The outputs are those of `head`.",
    "classifier_activation": "The activation is that of the last layer in `head`.",
    "input_shape": "Set `model: {image_size: …}`.",
    "input_tensor": "Its input is that of the model.",
    "include_preprocessing": "Each base gets its pixels as it wants them.",
}

_NOT_IN_TRAIN = {  # arguments of Keras's `compile` that are no keys of `train` -> why not
    "steps_per_execution": "the training loop chooses it by the time that the steps take",
}


def validate(raw: Mapping[str, Any]) -> tuple[Config | None, list[Fault]]:
    """A config checked against the schema, Keras's signatures and the catalogue of built-in data sets.

    Returns:
        The config (None where it is not valid), and all faults found.
    """
    config: Config | None = None
    faults: list[Fault] = []
    try:
        config = Config.model_validate(dict(raw))
    except pydantic.ValidationError as error:
        faults += _schema_faults(error, raw, ())
    faults += _keras_faults(Config, raw, ())
    faults += _faults_between_sections(raw, faults)
    return (None if faults else config), faults


def _faults_between_sections(raw: Mapping[str, Any], faults: list[Fault]) -> list[Fault]:
    """Faults of the valid entries with respect to each other; where a config has faults, those against a built-in data set as well.

    Where it has none, it is checked against its data, of whatever source, once that is opened.
    """
    config = _valid_part(raw, faults)
    if config is None:
        return []
    found = list(check_sections(config))
    if config.data.dataset is not None and (faults or found) and not any(fault.path[0] == "data" for fault in found):
        spec = built_in_spec(config.data.dataset, config.data.target)
        found += check_against_data(config, spec, target_encodings(config, spec.task, spec.name))
    return found


def _valid_part(raw: Mapping[str, Any], faults: list[Fault]) -> Config | None:
    """A config of the entries without faults, and without the entries that are checked against those; None where `data` has faults."""
    faulty = {fault.path[:3] for fault in faults}
    if any(path[:1] == ("data",) for path in faulty):
        return None
    valid = {key: value for key, value in raw.items() if key in Config.model_fields and (key,) not in faulty and key != "sweep"}
    wrong = {path[1] for path in faulty if path[0] == "train" and len(path) > 1}
    if wrong and isinstance(valid.get("train"), Mapping):
        valid["train"] = {key: value for key, value in valid["train"].items() if key not in wrong | {"callbacks"}}
    if not all(_before_the_last_layer(path, raw) for path in faulty if path[0] == "model"):
        valid["model"] = {"layers": ["Flatten"]}
        valid["data"] = {key: value for key, value in raw["data"].items() if key != "augment_passes"}
    try:
        return Config.model_validate(valid)
    except pydantic.ValidationError:  # reported already
        return None


def _before_the_last_layer(path: Path, raw: Mapping[str, Any]) -> bool:
    """Whether a path leads to a layer that is not checked against the data."""
    if len(path) < 3:
        return False
    _, stack, index = path
    return stack == "preprocess" or (stack in ("layers", "head") and index != len(raw["model"][stack]) - 1)


def _schema_faults(error: pydantic.ValidationError, raw: object, prefix: Path, root: type[Section] = Config) -> Iterator[Fault]:
    for detail in error.errors(include_url=False):
        location = _in_config(tuple(detail["loc"]), raw, missing=detail["type"] == "missing")
        path = (*prefix, *location)
        kind, value = detail["type"], detail.get("input")
        context = detail.get("ctx", {})
        if kind == "extra_forbidden":
            yield _unknown_key(path, str(location[-1]), _section_at(location, root))
        elif kind == "missing":
            description = _field_description(location, root)
            yield Fault(path, "is missing", description)
        elif kind in _WANTED:
            yield Fault(path, f"wants {_WANTED[kind]}, got {format_value(value)}", _number_remedy(kind, value))
        elif kind == "model_type":
            yield Fault(path, f"wants a mapping, got {format_value(value)}")
        elif kind in _LIMITS:
            words, limit_key = _LIMITS[kind]
            limit = context[limit_key]
            yield Fault(path, f"wants {words} {limit if isinstance(limit, int) else f'{limit:g}'}, got {format_value(value)}")
        elif kind in ("too_short", "too_long"):
            limit = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
            yield Fault(path, f"wants {limit} {'entry' if limit.endswith(' 1') else 'entries'}, got {context['actual_length']}")
        elif kind == "literal_error":
            yield Fault(path, f"wants {context['expected']}, got {format_value(value)}")
        elif kind == "string_pattern_mismatch":
            yield Fault(
                path, f"{format_value(value)} is not a name for a run", "Use letters, digits, dots, dashes and underscores, at most 64."
            )
        else:
            yield Fault(path, detail["msg"])


def _in_config(location: Path, raw: object, *, missing: bool) -> Path:
    """The path of an error in the config: pydantic's location without the union branch names that it inserts.

    Args:
        location: pydantic's location of the error, relative to `raw`.
        raw: The value that was validated.
        missing: Whether the error is a missing key, which is then the last part.
    """
    path: Path = ()
    for part in location:
        if (isinstance(raw, Mapping) and part in raw) or (isinstance(raw, list) and isinstance(part, int) and part < len(raw)):
            path, raw = (*path, part), raw[part]  # type: ignore[index]
    return (*path, location[-1]) if missing else path


def _unknown_key(path: Path, key: str, section: type[Section]) -> Fault:
    if section is Train and key in _NOT_IN_TRAIN:
        return Fault(path, f"is not accepted in a config: {_NOT_IN_TRAIN[key]}", "Leave it out.", on_key=True)
    siblings = list(section.model_fields)
    meant = did_you_mean(key, siblings)
    remedy = "" if meant else f"Known here: {', '.join(siblings)}." if siblings else "Leave it out."
    return Fault(path, f"unknown key.{meant}", remedy, on_key=True)


def _number_remedy(kind: str, value: object) -> str:
    if kind.startswith("int_") and isinstance(value, str) and value.replace("_", "").isdigit():
        return "Write it without quotes and underscores."
    return ""


def _section_at(location: Path, root: type[Section]) -> type[Section]:
    """The section that contains a field, found by descending from a root section."""
    section = root
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        inner = next(_sections_within(field.annotation), None) if field is not None else None
        if inner is None:
            break
        section = inner
    return section


def _sections_within(annotation: Any) -> Iterator[type[Section]]:
    """Sections that an annotation names, such as Phase in `list[Phase] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_within(part)


def _field_description(location: Path, root: type[Section]) -> str:
    field = _section_at(location, root).model_fields.get(str(location[-1]))
    return (field.description or "").split("\n")[0] if field else ""


def _keras_faults(section: type[Section], raw: object, path: Path) -> Iterator[Fault]:
    """Faults of every Keras object in a section, found by the KerasObject annotations of its fields."""
    if not isinstance(raw, Mapping):
        return
    for name, field in section.model_fields.items():
        if raw.get(name) is None:
            if name in raw and field.default is not None:  # `optimizer: null`, where there is no training without one
                yield from (
                    fault
                    for mark in field.metadata
                    if isinstance(mark, KerasObject)
                    for fault in check_entry(mark.kind, None, (*path, name))
                )
            continue
        value, here = raw[name], (*path, name)
        if get_origin(field.annotation) is dict and (marks := list(_marks_within(field.annotation))):
            for key, item in value.items() if isinstance(value, Mapping) else ():
                yield from _object_faults(marks[0], item, (*here, key))
            continue
        inner = next(_sections_within(field.annotation), None)
        if inner is not None:
            items = [(item, (*here, i)) for i, item in enumerate(value)] if isinstance(value, list) else [(value, here)]
            for item, place in items:
                yield from _keras_faults(inner, item, place)
            continue
        marks = [mark for mark in field.metadata if isinstance(mark, KerasObject)] or list(_marks_within(field.annotation))
        lists = _lists_around(field.annotation)
        if marks and not (lists and not isinstance(value, list)):
            yield from _object_faults(marks[0], value, here, lists)


def _marks_within(annotation: Any) -> Iterator[KerasObject]:
    for part in get_args(annotation):
        if isinstance(part, KerasObject):
            yield part
        yield from _marks_within(part)


def _lists_around(annotation: Any) -> int:
    """Depth of list nesting around a field's objects: 1 for layers, 2 for the paths of branches."""
    inner = max((_lists_around(part) for part in get_args(annotation)), default=0)
    return inner + (get_origin(annotation) is list)


def _object_faults(mark: KerasObject, value: object, path: Path, lists: int = 0) -> Iterator[Fault]:
    """Faults of one object, of a list of them, or of the layers in a block."""
    kind = mark.kind
    if kind in OPTUNA_KINDS and not optuna_is_installed():  # only `cnnkit sweep` needs it, and says so
        return
    if lists and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _object_faults(mark, item, (*path, index), lists - 1)
        return
    if kind == "applications" and isinstance(value, dict) and "run" in value:
        try:
            OwnBase.model_validate(value)
        except pydantic.ValidationError as error:
            yield from _schema_faults(error, value, path, OwnBase)
        return
    if kind == "applications":
        yield from _reserved_arguments(value, path)
    name = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
    words = OWN_WORDS.get(mark.words, {})
    if isinstance(name, str) and name in words:
        yield from _own_word_faults(words[name], name, value, path)
    elif isinstance(name, str) and (fault := misplaced_word(mark.words, name, value, path)):
        yield fault
    else:
        yield from check_entry(kind, value, path)


def _own_word_faults(section: type[Section], name: str, value: object, path: Path) -> Iterator[Fault]:
    """Faults of a word of cnnkit's own among layers, such as a block, and of the layers in it."""
    arguments = value[name] if isinstance(value, dict) else None
    required = [field for field, info in section.model_fields.items() if info.is_required()]
    if arguments is None and not required:
        return
    here = (*path, name)
    if not isinstance(arguments, dict):
        fields = ", ".join(f"{field}: …" for field in required or section.model_fields)
        remedy = f"Write `{name}: {{{fields}}}`." if fields else f"Write `{name}` alone."
        yield Fault(here if isinstance(value, dict) else path, f"wants a mapping, got {format_value(arguments)}", remedy)
        return
    try:
        section.model_validate(arguments)
    except pydantic.ValidationError as error:
        yield from _schema_faults(error, arguments, here, section)
    yield from _keras_faults(section, arguments, here)


def _reserved_arguments(value: object, path: Path) -> Iterator[Fault]:
    """Faults for arguments of a base that cnnkit sets itself."""
    name, arguments = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else ("", None)
    for argument in arguments if isinstance(arguments, dict) else ():
        if argument in _SET_BY_CNNKIT:
            yield Fault((*path, name, argument), "cannot be set in a config", _SET_BY_CNNKIT[argument], on_key=True)
