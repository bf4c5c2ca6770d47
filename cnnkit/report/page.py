"""Render a page, such as a report, as one HTML file; all text is escaped, and the page has no scripts and loads nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cnnkit.errors import escape_unprintable
from cnnkit.metrics import number_text
from cnnkit.report.examples import percent
from cnnkit.report.pictures import SIGNAL_HEIGHT, SIGNAL_WIDTH
from cnnkit.version import __version__

if TYPE_CHECKING:
    from cnnkit.report.content import Report


def render(report: "Report") -> str:
    """The page of a report."""
    sizes = {"signal": (SIGNAL_WIDTH, SIGNAL_HEIGHT)}
    return render_template("report.html.j2", report=report, run=report.run, **sizes)


def render_template(name: str, **values: Any) -> str:
    """A page from a template in this folder; all text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape_text,
    )
    environment.filters.update(number=number_text, percent=percent, duration=_duration, shape=_shape, field=_field)
    return environment.get_template(name).render(version=__version__, **values)


def _escape_text(value: Any) -> Any:
    """Escape unprintable characters of a text, such as those that change the writing direction; Markup stays unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(escape_unprintable(line) for line in value.split("\n"))
    return value


def _duration(seconds: float) -> str:
    """A duration in hours, minutes and seconds: `1 h 02 min`, `3 min 04 s`, `5.0 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def _shape(shape: tuple[Any, ...]) -> str:
    """`32 × 32 × 3`, without the batch; several shapes are separated by commas."""
    if shape and isinstance(shape[0], tuple):
        return ", ".join(map(_shape, shape))
    return " × ".join("?" if size is None else str(size) for size in shape[1:]) or "1"


def _field(field: Any) -> str:
    """A receptive field as text: `3 × 3`, or `all`."""
    return "–" if not field else "all" if field == "all" else " × ".join(map(str, field))
