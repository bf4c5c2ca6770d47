"""A network's summary as a person reads it: Keras's table, and with `explain` where each number comes from."""

from rich import box
from rich.console import Console
from rich.table import Table

from cnnkit.console import safe
from cnnkit.model.summary import Row, Summary


def render_summary(summary: Summary, console: Console, *, explain: bool = False) -> None:
    """Print the table, the preprocessing line and the totals, as Keras words them."""
    console.print(f"Input [bold]{_shape(summary.input_shape)}[/bold]")
    if summary.preprocessing:
        console.print(f"Preprocessing inside the model: {safe(', '.join(summary.preprocessing))}")
    console.print(_explained(summary) if explain else _table(summary))
    frozen = summary.total_bytes - summary.trainable_bytes
    for words, count, size in (
        ("Total params", summary.total_parameters, summary.total_bytes),
        ("Trainable params", summary.trainable_parameters, summary.trainable_bytes),
        ("Non-trainable params", summary.non_trainable_parameters, frozen),
    ):
        console.print(f" {words}: [bold]{count:,}[/bold] ({readable_bytes(size)})")
    if explain:
        operations = sum(row.multiply_adds for row in summary.rows)
        memory = sum(row.activation_bytes for row in summary.rows)
        console.print(f" Multiply-adds for one example: [bold]{operations:,}[/bold]; its activations take {readable_bytes(memory)}")
        console.print("\n[dim]sees: pixels (or steps) of the input, along each axis, on which one output value depends.[/dim]")
        console.print("[dim]multiply-adds: multiplications with their addition, for one example going forward once.[/dim]")


def _table(summary: Summary) -> Table:
    table = Table(box=box.ROUNDED, header_style="bold")
    table.add_column("Layer (type)")
    table.add_column("Output Shape")
    table.add_column("Param #", justify="right")
    connected = any(row.connected_to for row in summary.rows)
    frozen = any(row.parameters and not row.trainable for row in summary.rows)
    if connected:
        table.add_column("Connected to", style="dim")
    if frozen:
        table.add_column("")
    for row in summary.rows:
        cells = [_name(row), _shape(row.output_shape), f"{row.parameters:,}"]
        if connected:
            cells.append(safe(", ".join(row.connected_to)))
        if frozen:
            cells.append(_state(row))
        table.add_row(*cells)
    return table


def _explained(summary: Summary) -> Table:
    """A block of lines a layer: what comes out and why, what it costs and why, what it sees."""
    table = Table(box=box.ROUNDED, header_style="bold", show_lines=True)
    table.add_column("Layer\n(type)", ratio=3)
    table.add_column("Output shape,\nand why", ratio=5, min_width=18)
    table.add_column("Parameters,\nand why", ratio=5)
    table.add_column("Sees", justify="right")
    table.add_column("Multiply-adds,\nmemory", justify="right")
    for row in summary.rows:
        sees = "×".join(map(str, row.receptive_field)) if row.receptive_field else "all"
        cost = f"{row.multiply_adds:,}\n[dim]{readable_bytes(row.activation_bytes)}[/dim]"
        shape = _shape(row.output_shape) + (f"\n[dim]{safe(row.shape_reason)}[/dim]" if row.shape_reason else "")
        parameters = f"{row.parameters:,}" + (f"\n[dim]{safe(row.parameter_reason)}[/dim]" if row.parameter_reason else "")
        table.add_row(f"{safe(row.name)}\n[dim]{safe(row.type)}[/dim]", shape, parameters, sees, cost)
    return table


def _name(row: Row) -> str:
    return f"{safe(row.name)} [dim]({safe(row.type)})[/dim]"


def _shape(shape: tuple[int | None, ...]) -> str:
    return safe(str(tuple(shape)))


def _state(row: Row) -> str:
    if not row.parameters:
        return ""
    return "[green]trains[/green]" if row.trainable else "[blue]frozen[/blue]"


def readable_bytes(count: int) -> str:
    """A number of bytes as Keras writes it: `478.79 KB` (of 1,024 bytes)."""
    for unit, size in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count:.2f} B"
