"""The pages of a server, each one HTML file that loads nothing: the page to drop a picture on, and the description of the routes."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)

NONE = "'none'"
POLICY = ("img-src 'self' blob: data:", "connect-src 'self'", f"base-uri {NONE}", f"form-action {NONE}", f"frame-ancestors {NONE}")


@dataclass(frozen=True)
class Page:
    """An HTML page and its content security policy.

    Attributes:
        content: The HTML.
        policy: Allows the styles and scripts of the page itself, by their hashes, and pictures that the page makes.
    """

    content: str
    policy: str


def picture_page() -> Page:
    """The page at `/`. It holds nothing of the model, whose metadata it asks for; so it is open where the rest needs a token."""
    return _page("picture.html.j2", {})


def docs_page(schema: Mapping[str, Any]) -> Page:
    """The page at `/docs`: the routes of an OpenAPI schema, by tag."""
    routes: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            bodies = route.get("requestBody", {}).get("content", {})
            statuses = {status: each["description"] for status, each in route["responses"].items() if status.startswith(("4", "5"))}
            routes.setdefault(route["tags"][0], []).append(
                {"method": method.upper(), "path": path, "text": route.get("description", ""), "bodies": list(bodies), "statuses": statuses}
            )
    return _page("docs.html.j2", {"title": schema["info"]["title"], "version": schema["info"]["version"], "routes": routes})


def _page(template: str, content: Mapping[str, Any]) -> Page:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template(template).render(content)
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, text in _INLINE.findall(html):
        hashes[kind].append(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'")
    inline = [f"{kind}-src {' '.join(found) or NONE}" for kind, found in hashes.items()]
    return Page(html, "; ".join([f"default-src {NONE}", *inline, *POLICY]))
