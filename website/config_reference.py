"""The reference of the config: every section and key with its type, default and limits, from the pydantic models."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnnkit.config.schema import OWN_WORDS, Config, OwnBase, Section
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.keras_api.checking import SINGULAR

HEAD = """# What a config can say

Generated from the schema that checks every config. A config has the sections [`data`](#data), [`model`](#model), [`train`](#train)
and, for searches, [`sweep`](#sweep). Any key can be overridden on the command line, `--set train.epochs=3`. Fractions may be written as
`1/255`. Names of layers, optimizers, losses and the like are those of Keras: [all of them with their arguments](keras.md).
"""

WORDS = {name: section for words in OWN_WORDS.values() for name, section in words.items()}
SECTIONS = {"": Config, **{name: Config.model_fields[name].annotation for name in ("data", "model", "train")}}
_PLURALS = {"integer": "integers", "number": "numbers", "string": "texts"}
_WORDS = {"integer": "integer", "number": "number", "string": "text", "boolean": "`true` or `false`", "array": "list", "object": "mapping"}


def config_reference() -> str:
    """The page, as Markdown."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"] | {name: block.model_json_schema() for name, block in WORDS.items()}
    definitions["base"] = OwnBase.model_json_schema()
    parts = [HEAD, "## name, seed\n", *_keys("", schema, definitions, skip=("data", "model", "train", "sweep"))]
    for title, definition, prefix in (
        ("data", "Data", "data."), ("data.fold", "Fold", "data.fold."), ("model", "Model", "model."),
        ("A base of your own", "base", "model.base."), *((name, name, f"{name}.") for name in WORDS),
        ("train", "Train", "train."), ("train.phases", "Phase", "train.phases[0]."), ("sweep", "Sweep", "sweep."),
    ):  # fmt: skip
        described = definitions[definition].get("description", "")
        parts += [f"## {title}\n", f"{described}\n", *_keys(prefix, definitions[definition], definitions)]
    return "\n".join(parts)


def every_key() -> Iterator[tuple[type[Section], str]]:
    """Each section with each of its keys."""
    for section in (Config, *(each for each in Section.__subclasses__() if each is not Config)):
        for name in section.model_fields:
            yield section, name


def _keys(prefix: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], skip: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in schema["properties"].items():
        if name in skip:
            continue
        facts = [_type(field), *_limits(field)]
        if name in schema.get("required", ()):
            facts.append("**required**")
        elif field.get("default") is not None:
            facts.append(f"default `{_yaml(field['default'])}`")
        anchor = re.sub(r"[^a-z0-9_.]", "", f"{prefix}{name}".lower())
        yield f"### `{prefix}{name}` {{#{anchor}}}\n\n*{'; '.join(filter(None, facts))}*<br>\n{field.get('description', '')}\n"


def _type(field: Mapping[str, Any]) -> str:
    if "x-object" in field:
        library, kind = field["x-object"].split(".")
        if library == "cnnkit":
            own = ", ".join(f"[`{name}`](#{name})" for name in OWN_WORDS[kind])
            return f"a Keras [layer](keras.md#layers), or one of {own}"
        article = "an" if library == "optuna" else "a"
        return f"{article} {library.capitalize()} [{SINGULAR[kind]}](keras.md#{kind})"
    if "enum" in field:
        return ", ".join(f"`{_yaml(each)}`" for each in field["enum"] if each is not None)
    if "$ref" in field:
        name = field["$ref"].split("/")[-1]
        return {
            "Phase": "a [phase](#trainphases)",
            "Fold": "a [fold](#datafold)",
            "OwnBase": "[a base of your own](#a-base-of-your-own)",
        }.get(name, f"the section `{name.lower()}`")
    if "anyOf" in field:
        kinds = [_type(each) for each in field["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(filter(None, kinds)))
    if "const" in field:
        return f"`{_yaml(field['const'])}`"
    kinds = field.get("type", [])
    kinds = [each for each in ([kinds] if isinstance(kinds, str) else kinds) if each != "null"]
    if kinds == ["array"] and field.get("items"):
        inner = _type(field["items"])
        if inner.startswith("list, each "):
            return inner.replace("list, each ", "list of lists, each ", 1)
        return f"list, each {inner}" if inner.startswith(("a ", "an ")) else f"list of {_PLURALS.get(inner, inner)}"
    if kinds == ["object"] and isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping of names to {_type(field['additionalProperties']) or 'values'}"
    return " or ".join(_WORDS[each] for each in kinds)


def _limits(field: Mapping[str, Any]) -> Iterator[str]:
    """Smallest and largest values, lengths and patterns; those of a list's items, too."""
    for each in [field, *field.get("anyOf", ())]:
        low, high = each.get("minimum"), each.get("maximum")
        above, below = each.get("exclusiveMinimum"), each.get("exclusiveMaximum")
        bounds = [f"from {low:,}" if low is not None else "", f"above {above:,}" if above is not None else ""]
        bounds += [f"to {high:,}" if high is not None else "", f"below {below:,}" if below is not None else ""]
        if any(bounds):
            yield " ".join(filter(None, bounds))
        least, most = each.get("minItems"), each.get("maxItems")
        if least is not None or most is not None:
            yield f"{least or 0} entries" if least == most else f"{least or 0} to {most} entries" if most else f"at least {least} of them"
        if "maxLength" in each:
            yield f"{each.get('minLength', 0)} to {each['maxLength']} characters"
        if "pattern" in each:
            yield f"pattern `{each['pattern']}`"
        if "items" in each:
            yield from (f"each {limit}" for limit in _limits(each["items"]))


def _yaml(value: object) -> str:
    return write_yaml(value, flow=True).removesuffix("...\n").strip()
