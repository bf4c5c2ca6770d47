"""The reference of Keras's and Optuna's objects: those that a config can name, with their arguments, from the installed packages."""

from collections.abc import Iterator
from importlib.metadata import version

from cnnkit.keras_api.checking import SINGULAR
from cnnkit.keras_api.signatures import REQUIRED, Argument
from cnnkit.keras_api.vocabulary import MODULES, library_of, refused_names, table_of


def keras_reference() -> str:
    """The page, as Markdown."""
    head = f"""# Objects of Keras and Optuna

Generated from the installed Keras {version("keras")} and Optuna {version("optuna")}: every name that a config accepts, with its arguments
and their defaults. `Name` alone where all have defaults, or `Name: {{argument: value}}`.
"""
    refused = "".join(f"- `{name}`: {reason}\n" for kind in ("layers", "samplers") for name, reason in sorted(refused_names(kind).items()))
    return "\n".join([head, *(text for kind in MODULES for text in _kind(kind)), "## Not accepted\n", refused])


def _kind(kind: str) -> Iterator[str]:
    yield f"## {kind}\n"
    yield f"A {library_of(kind)} {SINGULAR[kind]}, from `{MODULES[kind]}`.\n"
    for name, signature in table_of(kind).objects[kind].items():
        arguments = ", ".join(_argument(each, argument) for each, argument in signature.arguments.items())
        summary = signature.summary.replace("<", "&lt;")
        yield f"### {name} {{#{kind}.{name.lower()}}}\n\n{summary}\n\n{arguments}\n"


def _argument(name: str, argument: Argument) -> str:
    return f"**`{name}`**" if argument.default == REQUIRED else f"`{name}={argument.default!r}`"
