"""The reference of the errors: every message with its remedy, read from the source code where it is made.

A message is a template: `‹name›` stands for what is filled in. What cannot be read that way, such as messages of Keras that are passed on,
is left out.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cnnkit
from cnnkit.data.images.faults import Reason

HEAD = """# Errors and what to do

Every error that can be mended says what is wrong, where, and what to do, and ends with exit status 1. All errors of a config are
printed together, each as `FILE:LINE:COLUMN: path: message`. This page is generated from the source code; `‹…›` stands for what is
filled in. Search it for a few words of your message.
"""

# Packages in the order of a run, with the heading of their errors. A package that has none here is an error of the test.
AREAS = {
    "Writing and reading a config": ("config",),
    "Names and arguments of Keras and Optuna": ("keras_api",),
    "Data and image files": ("data",),
    "The network": ("model",),
    "Training and resuming": ("training", "launch", "runs"),
    "Using a model": ("prediction", "evaluation", "artifacts"),
    "Explaining, probing, reports": ("interpret", "robustness", "report", "plots"),
    "Several runs, searches": ("experiments",),
    "Export and serving": ("export", "serving"),
    "Command line and files": ("commands", "console", "io", "cli", "metrics", "errors", "python", "api"),
}

# Calls that make an error -> the positions of message and remedy among the arguments; None where there is no remedy.
_MADE_BY: Mapping[str, tuple[int, int | None]] = {
    "CnnkitError": (0, 1),
    "Problem": (0, 1),
    "Fault": (1, 2),
    "PydanticCustomError": (1, None),
}


OR = " ‹or› "
MOST_NAMES = 4  # names followed from one to the next


@dataclass(frozen=True, order=True)
class Entry:
    """An error as it is made somewhere.

    Attributes:
        area: The heading that it belongs under.
        message: Its template.
        remedy: That of its remedy; empty where it has none.
    """

    area: str
    message: str
    remedy: str


def error_reference() -> str:
    """The page, as Markdown."""
    found = sorted(set(errors()))
    parts = [HEAD]
    for area in AREAS:
        parts.append(f"## {area}\n")
        parts += [_item(each.message, each.remedy) for each in found if each.area == area]
        if area == "Data and image files":
            reasons = ", ".join(f"*{reason}*" for reason in Reason)
            parts.append(f"**‹file›: ‹reason›**<br>\nAn image file that cannot be read; the reason is one of {reasons}.\n")
    return "\n".join(parts)


def _item(message: str, remedy: str) -> str:
    return f"**{_plain(message)}**" + (f"<br>\n{_plain(remedy)}" if remedy else "") + "\n"


def errors() -> Iterator[Entry]:
    """Every error that the package makes by a message of its own."""
    root = Path(cnnkit.__file__).parent
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = path.relative_to(root).parts[0].removesuffix(".py")
        area = next((area for area, packages in AREAS.items() if top in packages), "")
        for call, message, remedy in _calls(tree):
            names = _names_in_scope(tree, call)
            text = _template(message, names)
            advice = _template(remedy, names) if remedy is not None else ""
            if _has_words(text):
                yield Entry(area, text, advice if _has_words(advice) else "")


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.expr, ast.expr | None]]:
    subclasses = {
        each.name for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and any(_name(base) == "CnnkitError" for base in each.bases)
    }
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.name in subclasses for node in ast.walk(each)}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        is_super = isinstance(call.func, ast.Attribute) and call.func.attr == "__init__" and id(call) in inside
        function = "CnnkitError" if is_super else _name(call.func)
        places = _MADE_BY.get(function)
        if places is None:
            continue
        message, remedy = (_argument(call, place, name) for place, name in zip(places, ("message", "remedy"), strict=True))
        if message is not None:
            yield call, message, remedy


def _argument(call: ast.Call, place: int | None, name: str) -> ast.expr | None:
    if place is not None and place < len(call.args):
        return call.args[place]
    return next((each.value for each in call.keywords if each.arg == name), None)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _names_in_scope(tree: ast.Module, call: ast.Call) -> dict[str, list[ast.expr]]:
    """What each name may hold at a call: what its function assigns before it, from the last time that is in no branch, else the module."""
    scopes: list[ast.AST] = [tree]
    scopes += [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and any(node is call for node in ast.walk(each))]
    around = [each for each in ast.walk(scopes[-1]) if isinstance(each, ast.stmt) and any(node is call for node in ast.walk(each))]
    column = max((each.col_offset for each in around), default=0)
    found: dict[str, list[ast.expr]] = {}
    for scope in scopes:
        here: dict[str, list[ast.expr]] = {}
        for each in tree.body if scope is tree else ast.walk(scope):
            if isinstance(each, ast.Assign) and (scope is tree or each.lineno < call.lineno):
                for target, value in _assigned(each):
                    earlier = [] if each.col_offset <= column else here.get(target, [])
                    here[target] = [*earlier, value]
        found |= here
    return found


def _assigned(statement: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from ((each.id, part) for each, part in zip(target.elts, value.elts, strict=False) if isinstance(each, ast.Name))


def _template(node: ast.expr, names: Mapping[str, list[ast.expr]], depth: int = 0) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str | int | float) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_template(part.value if isinstance(part, ast.FormattedValue) else part, names, depth) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and not isinstance(getattr(node.right, "value", ""), int):
        return _template(node.left, names, depth) + _template(node.right, names, depth)
    if choices := _choices(node):
        return _either(choices, names, depth)
    if isinstance(node, ast.Name) and depth < MOST_NAMES and all(_is_text(each) for each in names.get(node.id, [node])):
        return _either(names[node.id], names, depth + 1)
    if isinstance(node, ast.Call):
        function = _name(node.func)
        if function == "did_you_mean":
            return " Did you mean ‹name›?"
        if function in ("format_value", "escape_unprintable", "str", "len", "dotted") and node.args:
            return _template(node.args[0], names, MOST_NAMES)
    return f"‹{_placeholder(node)}›"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.Constant) or bool(_choices(node))


def _choices(node: ast.expr) -> list[ast.expr]:
    """The texts of which one is chosen: `a if … else b`, `{…: a, …: b}[…]`, `{…: a}.get(…, b)`; none for anything else."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
        return node.value.values
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Dict):
        return [*node.func.value.values, *node.args[1:]]
    return []


def _either(nodes: list[ast.expr], names: Mapping[str, list[ast.expr]], depth: int) -> str:
    return OR.join(dict.fromkeys(text for node in nodes if (text := _template(node, names, depth))))


def _placeholder(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return _placeholder(node.left)
    if isinstance(node, ast.Subscript):
        return _placeholder(node.value)
    if isinstance(node, ast.Call):
        return _placeholder(node.args[0]) if node.args else _placeholder(node.func)
    return _name(node).strip("_").replace("_", " ") or "…"


def _has_words(template: str) -> bool:
    """Whether anything of a text stands in the source code, besides what is filled in."""
    return re.search(r"\w", re.sub("‹[^›]*›", "", template)) is not None


def _plain(text: str) -> str:
    """A text of a message as Markdown, its `code` as it is."""
    text = re.sub(r"(?<!\{)\{([a-z_]+)\}", r"‹\1›", text)  # as pydantic fills in
    parts = text.replace("\n", " ").split("`")
    for index in range(0, len(parts), 2):
        for character in "\\*_[]<>{}|#$~":
            parts[index] = parts[index].replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
    return "`".join(parts)
