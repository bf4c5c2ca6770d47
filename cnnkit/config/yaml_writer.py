"""Dump values as YAML that parses to the same values under YAML 1.2 (our loader) and YAML 1.1 (PyYAML)."""

from typing import Any

import yaml

from cnnkit.config.yaml_loader import plain_scalar


class _Writer(yaml.SafeDumper):
    """PyYAML's dumper, which quotes text that YAML 1.1 parses as a number or a boolean; here also what YAML 1.2 parses as one."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values out in full, without anchors and aliases."""
        return True


def _text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_scalar(value), str) else "'"
    # Characters that do not print, such as an ideographic space, may be written as escapes, which only double quotes have.
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style if value.isprintable() else '"')


_Writer.add_representer(str, _text)


def write_yaml(value: Any, *, flow: bool | None = None, width: int = 120) -> str:
    """Dump mappings, lists, texts, numbers and booleans as YAML.

    Args:
        value: The value.
        flow: Flow style (True), block style (False), or flow style for lists of scalars only (None).
        width: Columns after which lines are broken.
    """
    written: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=width, default_flow_style=flow)
    return written
