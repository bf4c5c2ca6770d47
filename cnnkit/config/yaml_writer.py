"""Values as YAML that reads back as the same values, by YAML 1.2 (ours) and by YAML 1.1 (PyYAML's own) alike."""

from typing import Any

import yaml

from cnnkit.config.yaml_loader import plain_scalar


class _Writer(yaml.SafeDumper):
    """PyYAML's writer, which quotes what YAML 1.1 takes for a number or a boolean; here what YAML 1.2 takes for one as well."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands twice twice: the reader takes no aliases."""
        return True


def _text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=None if isinstance(plain_scalar(value), str) else "'")


_Writer.add_representer(str, _text)


def write_yaml(value: Any, *, flow: bool | None = None, width: int = 120) -> str:
    """A value of mappings, lists, texts, numbers and booleans as YAML.

    Args:
        value: The value.
        flow: In brackets (True), in lines (False), or lists of plain values in brackets only (None).
        width: Columns after which lines are broken.
    """
    written: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow)
    return written
