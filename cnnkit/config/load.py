"""Load config files and overrides into one validated config that keeps the source location of each entry."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnkit.config.mapping import read_mapping
from cnnkit.config.packaged import resolve_name
from cnnkit.config.schema import SOURCES, Config
from cnnkit.config.stack import stack
from cnnkit.config.validate import validate
from cnnkit.config.yaml_loader import Document, parse, read_file
from cnnkit.config.yaml_writer import write_yaml
from cnnkit.errors import BuildError, CnnkitError, ConfigError, Fault, Problem, dotted
from cnnkit.errors import Path as EntryPath
from cnnkit.io.regular_file import absolute

ConfigSource = Path | Mapping[str, Any]  # a YAML file, the name of a packaged config such as `digits`, or the sections themselves

DEFAULT_NAME = "run"  # of a config that is not a file and has no `name`

PATHS = (  # entries that name files
    *(("data", key) for key, source in SOURCES.items() if source.value != "name"),
    ("data", "exclude"),
    ("model", "base", "run"),
)


@dataclass(frozen=True)
class LoadedConfig:
    """A valid config with the source locations of its entries.

    Attributes:
        config: The validated sections.
        document: The same as plain values, each with its mark (file, line, column).
    """

    config: Config
    document: Document

    def located(self, error: BuildError) -> ConfigError:
        """A build error as a ConfigError with the file and line of the entry at fault."""
        return self.config_error([error.fault])

    def config_error(self, faults: Iterable[Fault]) -> ConfigError:
        """A ConfigError of some faults, each with the file and line of its entry."""
        return config_error(self.document, faults)

    def as_yaml(self) -> str:
        """The resolved config, defaults included, as YAML that loads to the same config."""
        return write_yaml(resolved(self.config))


def load_config(sources: Sequence[ConfigSource], overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read config files, stack them in order, apply `a.b.c=value` overrides, and validate the result; no data is read.

    Args:
        sources: Files, names of packaged configs, or mappings; later ones override earlier ones.
        overrides: `a.b.c=value`.

    Raises:
        ConfigError: With every problem that can be known without TensorFlow.
    """
    return _validated(load_document(sources, overrides))


def load_text(text: str, source: str) -> LoadedConfig:
    """A config from the text of a resolved one.

    Args:
        text: The YAML.
        source: The file that it is from, for errors.

    Raises:
        ConfigError: It is not valid.
    """
    return _validated(parse(text, source))


def _validated(document: Document) -> LoadedConfig:
    config, faults = validate(document.value)
    if config is None:
        raise config_error(document, faults)
    return LoadedConfig(config, document)


def load_document(sources: Sequence[ConfigSource], overrides: Sequence[str]) -> Document:
    """The stacked configs as plain values with marks; a run takes the first file's name where none is given.

    Raises:
        ConfigError: A path cannot be made absolute.
    """
    document = stack([_read(source) for source in sources], overrides)
    if "name" not in document.value:
        first = sources[0].stem if isinstance(sources[0], Path) else DEFAULT_NAME
        stem = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in first)
        document.value["name"] = stem.lstrip("._-")[:64] or DEFAULT_NAME
    resolve_paths(document)
    return document


def _read(source: ConfigSource) -> Document:
    return read_file(resolve_name(source)) if isinstance(source, Path) else read_mapping(source)


def resolve_paths(document: Document) -> None:
    """Make paths absolute: they are relative to the file that contains them, those of overrides to the working directory."""
    for path in (*PATHS, *_weights_files(document.value)):
        section: Any = document.value
        for key in path[:-1]:
            section = section.get(key) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(value := section.get(path[-1]), str):
            mark = document.mark(path)
            folder = Path(mark.source).parent if mark and mark.line else Path()
            try:
                section[path[-1]] = str(absolute(folder, value))
            except CnnkitError as error:
                raise ConfigError([Problem(error.headline, error.remedy, dotted(path), mark)]) from error


def _weights_files(value: Any) -> Iterator[EntryPath]:
    """Paths of the entries that name a weights file of a Keras base; they contain the base's name, so no constant can list them."""
    model = value.get("model")
    base = model.get("base") if isinstance(model, dict) else None
    for name, arguments in base.items() if isinstance(base, dict) else ():
        if isinstance(arguments, dict) and arguments.get("weights") not in ("imagenet", "none"):
            yield "model", "base", name, "weights"


def resolved(config: Config) -> dict[str, Any]:
    """The config as plain values, defaults included, options that are off left out."""
    return config.model_dump(exclude_none=True)


def with_epochs(
    sources: Sequence[ConfigSource], overrides: Sequence[str], loaded: LoadedConfig, epochs: int, begun: int = 0
) -> LoadedConfig:
    """A config with another total number of epochs; only the last phase is lengthened or shortened.

    Args:
        sources: Its files or mappings.
        overrides: Its overrides.
        loaded: The config with its own number of epochs.
        epochs: The new total over all phases.
        begun: Epochs of the last phase that an interrupted run has done or begun.

    Raises:
        CnnkitError: Fewer than are done or begun, or none would be left for the last phase.
    """
    train = loaded.config.train
    earlier = sum(map(train.epochs_of, (train.phases or [])[:-1]))
    least = earlier + max(begun, 1)
    if epochs < least:
        before = f"the phases before the last one take {earlier}" if earlier else ""
        now = f"{begun}{' of the last one' if earlier else ''} are done or begun already" if begun else ""
        reason = ", and ".join(filter(None, (before, now))) or "there is at least one"
        raise CnnkitError(f"--epochs: {epochs} epochs in all are too few: {reason}", f"Name {least} or more.")
    path = "train.epochs" if train.phases is None else f"train.phases[{len(train.phases) - 1}].epochs"
    return load_config(sources, [*overrides, f"{path}={epochs - earlier}"])


def config_error(document: Document, faults: Iterable[Fault]) -> ConfigError:
    """A ConfigError of some faults of a document, each with the file and line of its entry."""
    return ConfigError(_problem(document, fault) for fault in faults)


def _problem(document: Document, fault: Fault) -> Problem:
    mark = document.keys.get(fault.path) if fault.on_key else None
    related = document.mark(fault.related)
    remedy = fault.remedy.replace("{related}", f"line {related.line}" if related and related.line else str(related))
    return Problem(fault.message, remedy, dotted(fault.path), mark or document.mark(fault.path))
