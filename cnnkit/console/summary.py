"""A network's summary as text: Keras's table, and with `explain` the arithmetic behind each number."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from cnnkit.console.text import escape_markup
from cnnkit.model.summary.summarize import Row, Summary

_LEGEND = (
    ("sees", "receptive field: input positions, first to last by axis, that one value depends on; padding counts too"),
    ("mult-adds", "multiplications with their addition for one example, in convolutions and dense layers"),
    ("memory", "of the layer's output for one example"),
)


def render_summary(summary: Summary, console: Console, *, explain: bool = False) -> None:
    """Print the table, the preprocessing line and the totals in Keras's wording."""
    console.print(f"Input [bold]{_shape(summary.input_shape)}[/bold]")
    if summary.preprocessing:
        console.print(f"Preprocessing inside the model: {escape_markup(', '.join(summary.preprocessing))}")
    console.print(_explained(summary, console.width) if explain else _table(summary))
    frozen = summary.total_bytes - summary.trainable_bytes
    for label, count, size in (
        ("Total params", summary.total_parameters, summary.total_bytes),
        ("Trainable params", summary.trainable_parameters, summary.trainable_bytes),
        ("Non-trainable params", summary.non_trainable_parameters, frozen),
    ):
        console.print(f" {label}: [bold]{count:,}[/bold] ({readable_bytes(size)})")
    if explain:
        _print_costs(summary, console)


def _print_costs(summary: Summary, console: Console) -> None:
    unknown = [row.name for row in summary.rows if row.multiply_adds is None]
    operations = sum(row.multiply_adds or 0 for row in summary.rows)
    memory = sum(row.activation_bytes or 0 for row in summary.rows)
    gap = f", not counting {escape_markup(', '.join(unknown))}" if unknown else ""
    console.print(f" Multiply-adds: [bold]{operations:,}[/bold] for one example{gap}")
    console.print(f" Activations: [bold]{readable_bytes(memory)}[/bold] for one example\n")
    legend = Table.grid(padding=(0, 2, 0, 1), pad_edge=True)
    for name, description in _LEGEND:
        legend.add_row(name, description, style="dim")
    console.print(legend)


def _table(summary: Summary) -> Table:
    table = Table(box=box.ROUNDED, header_style="bold")
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output Shape", overflow="fold")
    table.add_column("Param #", justify="right", no_wrap=True)
    connected = any(row.connected_to for row in summary.rows)
    frozen = any(row.parameters and not row.trainable_parameters for row in summary.rows)
    if connected:
        table.add_column("Connected to", style="dim", overflow="fold")
    if frozen:
        table.add_column("Trained", no_wrap=True)
    for row in summary.rows:
        cells = [f"{escape_markup(row.name)} [dim]({escape_markup(row.type)})[/dim]", _shape(row.output_shape), f"{row.parameters:,}"]
        if connected:
            cells.append(escape_markup(", ".join(row.connected_to)))
        if frozen:
            cells.append(_state(row))
        table.add_row(*cells)
    return table


def _explained(summary: Summary, width: int) -> Table:
    """Keras's table with the arithmetic under each number."""
    widest = 19 if width < 90 else 26 if width < 110 else 32
    shape_width = _column_width([row.shape_reason for row in summary.rows], widest)
    parameter_width = _column_width([row.parameter_reason for row in summary.rows], widest - 2)
    table = Table(box=box.HORIZONTALS, header_style="bold", show_lines=True, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Layer\n[dim]type[/dim]", overflow="fold")
    table.add_column("Output shape\n[dim]because[/dim]", width=shape_width, overflow="fold")
    table.add_column("Param #\n[dim]because[/dim]", width=parameter_width, justify="right", overflow="fold")
    table.add_column("Sees", justify="right", no_wrap=True)
    table.add_column("Mult-adds\n[dim]memory[/dim]", justify="right", no_wrap=True)
    for row in summary.rows:
        name = f"{escape_markup(row.name)}\n[dim]{escape_markup(row.type)}[/dim]"
        if row.connected_to:
            name += f"\n[dim]← {escape_markup(', '.join(row.connected_to))}[/dim]"
        shape = _with_reason(_shape(row.output_shape), row.shape_reason, shape_width)
        parameters = _with_reason(f"{row.parameters:,}", row.parameter_reason, parameter_width)
        memory = "–" if row.activation_bytes is None else readable_bytes(row.activation_bytes)
        cost = f"{'–' if row.multiply_adds is None else format(row.multiply_adds, ',')}\n[dim]{memory}[/dim]"
        table.add_row(name, shape, parameters, _field(row), cost)
    return table


def _column_width(reasons: Sequence[str], widest: int) -> int:
    """Enough for the longest line of the reasons, within limits; 19 holds most output shapes."""
    return min(widest, max([19, *(len(line) for reason in reasons for line in reason.split("; "))]))


def _with_reason(value: str, reason: str, width: int) -> str:
    """A number with its reason below; a result that would not fit the line moves to the next with its equals sign."""
    if not reason:
        return value
    lines = []
    for part in reason.split("; "):
        formula, equals, result = part.partition(" = ")
        lines += [formula, f"= {result}"] if equals and len(part) > width else [part]
    return f"{value}\n[dim]{chr(10).join(map(escape_markup, lines))}[/dim]"


def _field(row: Row) -> str:
    if row.receptive_field is None or row.receptive_field == ():
        return "–"
    if row.receptive_field == "all":
        return "all"
    return "×".join(map(str, row.receptive_field))


def _shape(shape: tuple[object, ...]) -> str:
    """One shape, or several in a line each."""
    several = shape if shape and isinstance(shape[0], tuple) else (shape,)
    return "\n".join(escape_markup(str(each)) for each in several)


def _state(row: Row) -> str:
    if not row.parameters:
        return ""
    if not row.trainable_parameters:
        return "[blue]frozen[/blue]"
    return "[green]yes[/green]" if row.trainable_parameters == row.parameters else f"[green]{row.trainable_parameters:,}[/green]"


def readable_bytes(count: int) -> str:
    """A number of bytes as Keras writes it: `478.79 KB` (of 1,024 bytes)."""
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.2f} B"
