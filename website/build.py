"""Builds the site into `build/site`; a warning is an error.

python -m website.build
python -m http.server --directory build/site        to read it; the pages also open as files, but then without search
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from website.command_reference import command_reference
from website.config_reference import config_reference
from website.error_reference import error_reference
from website.finish import finish_page
from website.keras_reference import keras_reference
from website.recipe_reference import recipe_reference

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"

REFERENCE: Mapping[str, Callable[[], str]] = {
    "config.md": config_reference,
    "keras.md": keras_reference,
    "commands.md": command_reference,
    "errors.md": error_reference,
    "recipes.md": recipe_reference,
}


def build(folder: Path = BUILD) -> Path:
    """Put the pages together and build them.

    Args:
        folder: Gets `pages/`, what is built, and `site/`, the result; both are replaced.

    Returns:
        The folder of the site.

    Raises:
        SystemExit: The build failed, or warned.
    """
    pages, site = folder / "pages", folder / "site"
    for each in (pages, site):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages)
    shutil.copytree(ROOT / "website" / "assets", pages / "assets")
    for name, generate in REFERENCE.items():
        page = pages / "reference" / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(generate(), encoding="utf-8")
    shutil.copy(ROOT / "website" / "zensical.toml", folder / "zensical.toml")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(folder / "zensical.toml")]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if built.returncode or "warning" in (built.stdout + built.stderr).lower():
        raise SystemExit(built.stdout + built.stderr)
    for path in site.rglob("*.html"):
        language = "ko" if path.is_relative_to(site / "ko") else "en"
        path.write_text(finish_page(path.read_text(encoding="utf-8"), language), encoding="utf-8")
    return site


if __name__ == "__main__":
    print(f"Wrote {build().relative_to(ROOT)}/index.html")
