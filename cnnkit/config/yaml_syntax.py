"""PyYAML's syntax errors as messages for the user, with a remedy and without the input."""

import yaml

_TAGS = ("a word that begins with '!' is a YAML tag, and tags are not allowed", "Remove it, or put quotes around it.")
_ALIAS = (
    "a value that begins with '*' or '&' is not a plain word in YAML",
    "Put quotes around it, or define the anchor (&name) above its alias (*name).",
)
_UNCLOSED_QUOTE = ("a quoted text begins here and is never closed", "Close it with the kind of quote it begins with.")
_BLOCK_TEXT = ("after '|' or '>' the line must end", "Begin the text on the next line, indented.")
_DIRECTIVE = ("a line that begins with '%' is a YAML directive, and this one is unknown", "Remove the line.")
_ENTRY = "Write one `key: value` a line, with entries of one mapping indented alike."

# (substring of PyYAML's context and problem, message, remedy). The first match counts.
_EXPLANATIONS = (
    ("found character '\\t'", "a tab indents this line", "Indent with spaces."),
    ("that cannot start any token", "a value cannot begin with this character", "Put quotes around the value."),
    ("could not find expected ':'", "a ':' is missing after this key", f"{_ENTRY} A space follows each colon."),
    ("sequence entries are not allowed", "a list item '- …' cannot stand here", "Begin the list on the next line."),
    ("mapping keys are not allowed", "a '?' cannot stand here", "Put quotes around text that begins with '? '."),
    (
        "mapping values are not allowed",
        "a ':' cannot stand here: the line above or the text before it is already a value",
        f"{_ENTRY} Put quotes around text that holds ': '.",
    ),
    ("flow sequence", "this '[' is not closed, or a ',' is missing in it", "Close it with ']'."),
    ("flow mapping", "this '{' is not closed, or a ',' is missing in it", "Close it with '}'."),
    (
        "<block end>, but found '<scalar>'",
        "text stands after a value that is already complete",
        "Put quotes around the whole value, and write a quote inside single quotes twice.",
    ),
    (
        "<block end>",
        "this does not line up with what stands above it",
        "Indent the entries of one mapping or list alike, with spaces.",
    ),
    ("expected the node content", "a value is missing here", "Write one, or null for none."),
    (
        "double-quoted scalar",
        "a '\\' in double quotes begins an escape, and this one is unknown",
        "Write '\\\\' for a backslash, or use single quotes.",
    ),
    ("quoted scalar", *_UNCLOSED_QUOTE),
    ("block scalar", *_BLOCK_TEXT),
    ("scanning an a", *_ALIAS),
    ("undefined alias", *_ALIAS),
    (
        "duplicate anchor",
        "an anchor of this name (&name) stands above already",
        "Give each anchor a name of its own.",
    ),
    ("tag", *_TAGS),
    ("single document", "a second document begins here", "Keep one in this file, and stack several files instead."),
    ("<document start>", "this stands outside of the config's one mapping", _ENTRY),
    ("directive", *_DIRECTIVE),
    ("incompatible YAML document", *_DIRECTIVE),
)
# Matches reported at the start of the faulty construct, not where PyYAML stopped.
_MARKED_AT_START = ("could not find expected ':'", "flow sequence", "flow mapping", "unexpected", "block scalar")


def describe_syntax_error(error: yaml.MarkedYAMLError) -> tuple[str, str, yaml.Mark | None]:
    """A syntax error's message, remedy and location.

    The message does not quote the input, which may be huge or contain control characters.
    """
    text = f"{error.context}: {error.problem}"
    start = error.context_mark if any(substring in text for substring in _MARKED_AT_START) else None
    mark = start or error.problem_mark
    for substring, message, remedy in _EXPLANATIONS:
        if substring in text:
            return message, remedy, mark
    return "this is not valid YAML", "Look at the indentation, the colons and the quotes here.", mark
