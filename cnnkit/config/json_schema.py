"""The JSON Schema of a config: cnnkit's sections from pydantic, the objects of Keras and Optuna from their signature tables."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from cnnkit.config.schema import OWN_WORDS, Config, Section
from cnnkit.keras_api.checking import OUTPUTS, SINGULAR
from cnnkit.keras_api.optuna_objects import OPTUNA_KINDS, optuna_is_installed
from cnnkit.keras_api.signatures import REQUIRED, Argument, Signature
from cnnkit.keras_api.step_shares import SHARE_PATTERN, TOTAL_STEPS, wants_steps
from cnnkit.keras_api.vocabulary import MODULES, library_of, table_of

_FRACTION = {"type": "string", "pattern": r"^-?[0-9.]+ */ *[0-9.]+$"}
_SHARES_OF_STEPS: list[dict[str, Any]] = [{"const": TOTAL_STEPS}, {"type": "string", "pattern": f"^{SHARE_PATTERN}$"}]

_TYPES: dict[str, list[dict[str, Any]]] = {
    "integer": [{"type": "integer"}, {"type": "array"}],
    "number": [{"type": "number"}, _FRACTION],
    "boolean": [{"type": "boolean"}],
    "string": [{"type": "string"}],
    "list": [{"type": "array"}, {"type": "number"}],
}


def json_schema() -> dict[str, Any]:
    """The schema by which an editor completes and checks a config (JSON Schema 2020-12)."""
    schema = _with_references(Config.model_json_schema())
    definitions = schema.setdefault("$defs", {})
    for kind in MODULES:
        definitions[f"{library_of(kind).lower()}.{kind}"] = _kind_schema(kind)
    for kind, words in OWN_WORDS.items():
        definitions[f"cnnkit.{kind}"] = _own_schema(kind, words)
        definitions |= {f"{kind}.{name}": _with_references(section.model_json_schema()) for name, section in words.items()}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "x-keras-version": version("keras")}
    return {**head, **schema, "title": "cnnkit config"}


def _with_references(schema: Any) -> Any:
    """The same schema, each `x-object` annotation replaced by a reference to that kind of object."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    resolved = {key: _with_references(value) for key, value in schema.items() if key != "x-object"}
    return {**resolved, "$ref": f"#/$defs/{schema['x-object']}"} if "x-object" in schema else resolved


def _own_schema(kind: str, words: Mapping[str, type[Section]]) -> dict[str, Any]:
    """A layer of Keras, or one of cnnkit's own words."""
    optional = [name for name, section in words.items() if not any(field.is_required() for field in section.model_fields.values())]
    properties: dict[str, Any] = {}
    for name in words:
        reference = {"$ref": f"#/$defs/{kind}.{name}"}
        properties[name] = {"anyOf": [reference, {"type": "null"}]} if name in optional else reference
    own = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"$ref": "#/$defs/keras.layers"}, {"enum": optional}, own]}


def _kind_schema(kind: str) -> dict[str, Any]:
    table = table_of(kind)
    objects = table.objects[kind]
    described = f"{'An' if library_of(kind) == 'Optuna' else 'A'} {library_of(kind)} {SINGULAR[kind]}, under its own name."
    if kind in OPTUNA_KINDS and not optuna_is_installed():
        return {"description": described, "type": ["string", "object"]}
    bare = [name for name, signature in objects.items() if not _required(signature) or kind == "activations"]
    strings = [*bare, *table.words.get(kind, ())]
    choices: list[dict[str, Any]] = [{"enum": strings}]
    if kind != "activations":
        properties = {name: _object_schema(kind, signature) for name, signature in objects.items()}
        choices.append({"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1, "maxProperties": 1})
    if kind == "schedules":
        choices += [{"type": "number"}, _FRACTION]
    return {"description": described, "anyOf": choices}


def _required(signature: Signature) -> list[str]:
    return [name for name, argument in signature.arguments.items() if argument.default == REQUIRED]


def _object_schema(kind: str, signature: Signature) -> dict[str, Any]:
    properties = {name: _argument_schema(argument, counts_steps=wants_steps(kind, name)) for name, argument in signature.arguments.items()}
    schema: dict[str, Any] = {"description": signature.summary, "properties": properties, "additionalProperties": False}
    required = _required(signature)
    return {**schema, "type": "object", "required": required} if required else {**schema, "type": ["object", "null"]}


def _argument_schema(argument: Argument, *, counts_steps: bool) -> Mapping[str, Any]:
    schema: dict[str, Any] = {"description": argument.description} if argument.description else {}
    if argument.default not in (REQUIRED, None):
        schema["default"] = argument.default
    if argument.kind:
        reference = {"$ref": f"#/$defs/{library_of(argument.kind).lower()}.{argument.kind}"}
        return {**schema, "anyOf": [reference, {"type": "null"}]} if argument.default is None else {**schema, **reference}
    types = [form for word in argument.takes for form in _TYPES[word] if not (word == "string" and argument.choices)]
    if argument.choices:
        types.append({"enum": list(argument.choices)})
    if "integer" in argument.takes:
        types.append({"const": OUTPUTS})
    if counts_steps and types and "list" not in argument.takes:
        types += _SHARES_OF_STEPS
    if types and argument.default is None:
        types.append({"type": "null"})
    return {**schema, "anyOf": types} if types else schema
