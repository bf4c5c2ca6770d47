"""The documentation site: no warning, no broken link, nothing from other hosts, a complete reference, fit for phones and in the dark.

Over 300 lines: every check reads the one site, which is built once.
"""

import html
import itertools
import re
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main

from cnnkit.cli import app
from cnnkit.config.schema import Config, Section
from cnnkit.keras_api.signatures import REFUSED, signature_table
from tests.chromium import Browser, chromium
from tests.documentation.blocks import commands, read_page
from tests.documentation.pages import all_pages
from website.build import REFERENCE, ROOT, build
from website.error_reference import AREAS, errors
from website.finish import commands_of, finish_page

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
NOT_LOADED = {"canonical", "prev", "next", "alternate", "edit"}  # relations of `link` elements that a browser does not fetch


class Page(HTMLParser):
    """The links, loaded files and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {""}
        self.text = ""
        self.headings: list[int] = []
        self.pictures: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.pictures.append(given["src"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADS and LOADS[tag] in given and not NOT_LOADED & set(given.get("rel", "").split()):
            self.loads.append(given[LOADS[tag]])

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path.resolve(): Page(path) for path in site.rglob("*.html")}


def test_every_page_of_the_documentation_is_in_the_navigation() -> None:
    config = tomllib.loads((ROOT / "website" / "zensical.toml").read_text(encoding="utf-8"))
    there = {page.removeprefix("docs/") for page in all_pages() if page.startswith("docs/")} | {f"reference/{name}" for name in REFERENCE}
    assert sorted(_files(config["project"]["nav"])) == sorted(there)


def _files(entries: object) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    elif isinstance(entries, dict):
        yield from _files(list(entries.values()))
    elif isinstance(entries, list):
        for each in entries:
            yield from _files(each)


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / target.partition("?")[0]).resolve() if target not in ("", ".") else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file() or (file in pages and anchor not in pages[file].anchors):
                broken.append(f"{path.name}: {link}")
    assert [each for each in broken if not each.startswith("404.html")] == []


def test_nothing_is_loaded_from_other_hosts(site: Path, pages: dict[Path, Page]) -> None:
    loaded = [each for page in pages.values() for each in page.loads]
    loaded += [each for sheet in site.rglob("*.css") for each in re.findall(r"url\(([^)]*)\)|@import", sheet.read_text(encoding="utf-8"))]
    assert [each for each in loaded if re.match(r"[\"']?(https?:)?//", each)] == []


def test_pages_say_in_which_language_they_are(site: Path) -> None:
    for path in site.rglob("*.html"):
        language = "ko" if "ko" in path.relative_to(site).parts else "en"
        assert f'<html lang="{language}"' in path.read_text(encoding="utf-8"), path


def test_the_reference_has_every_key_of_a_config(site: Path, pages: dict[Path, Page]) -> None:
    anchors = pages[(site / "reference" / "config.html").resolve()].anchors
    keys = {f"{name}.{key}" for name in ("data", "model", "train") for key in Config.model_fields[name].annotation.model_fields}  # type: ignore[union-attr]
    assert {each for each in keys if each not in anchors} == set()
    sections = [each for each in Section.__subclasses__() if each.__module__ == "cnnkit.config.schema" and each is not Config]
    names = {anchor.rpartition(".")[2] for anchor in anchors}
    assert {f"{each.__name__}.{key}" for each in sections for key in each.model_fields if key not in names} == set()


def test_every_screen_is_copied_as_its_commands(site: Path) -> None:
    screens = 0
    for page in (each for each in all_pages() if each.startswith("docs/")):
        blocks = [each for each in read_page(ROOT / page) if each.language == "console"]
        typed = ["\n".join(command.line for command in commands(block)) for block in blocks]
        built = (site / page.removeprefix("docs/")).with_suffix(".html").read_text(encoding="utf-8")
        copied = [html.unescape(each) for each in re.findall(r'<pre data-copy="([^"]*)"', built)]
        assert copied == typed or page == "docs/python.md", page
        screens += len(typed)
    assert screens > 40


@pytest.mark.parametrize(
    ("screen", "typed"),
    [
        ("$ one\nprinted\n$ two", "one\ntwo"),
        ("$ one \\\n  goes on\nprinted", "one \\\n  goes on"),
        ("$ one\n...\nprinted", "one"),
        ("$ one\n$\n# printed, no prompt", "one"),
        (">>> if a:\n...     b\n...\n>>> c\nprinted\n... printed", "if a:\n    b\n\nc"),
        ("a = 1", ""),
    ],
)
def test_of_a_screen_what_is_typed_is_copied(screen: str, typed: str) -> None:
    assert commands_of(screen) == typed


def test_a_printed_line_with_a_hash_is_not_highlighted_as_a_command() -> None:
    shown = '<pre><span></span><code><span class="gp">$ </span>cat a\n<span class="gp"># </span>for<span class="w"> </span>&lt;b&gt;\n</code></pre>'
    assert finish_page(shown, "en") == (
        '<pre data-copy="cat a"><span></span><code><span class="gp">$ </span>cat a\n<span class="go"># for &lt;b&gt;</span>\n</code></pre>'
    )


def test_every_picture_opens_its_file(pages: dict[Path, Page]) -> None:
    shown = [(path, picture) for path, page in pages.items() for picture in page.pictures]
    assert len(shown) > 15
    assert [(path.name, picture) for path, picture in shown if picture not in pages[path].links] == []


def test_headings_leave_out_no_level(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        levels = [0, *page.headings]
        assert levels.count(1) == 1 or path.name == "404.html", path
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), path


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("data.batch_size", "integer; from 1 to 65,536; default 32"),
        ("data.test", "number; from 0 below 1; default 0.15"),
        ("train.on_nan", "stop, restore; default stop"),
        ("train.optimizer", "a Keras optimizer; default adam"),
        ("sweep.trials", "integer; from 1 to 100,000; required"),
        ("model.input_shape", "list of integers; 1 to 4 entries; each from 1 to 65,536"),
    ],
)
def test_the_reference_has_types_defaults_and_limits(key: str, facts: str, site: Path, pages: dict[Path, Page]) -> None:
    text = " ".join(pages[(site / "reference" / "config.html").resolve()].text.split())
    assert re.search(rf"{re.escape(key)} ?¶? {re.escape(facts)} ", text), text[text.index(key) :][:200]


def test_the_reference_has_every_command_with_every_option(site: Path, pages: dict[Path, Page]) -> None:
    text = pages[(site / "reference" / "commands.html").resolve()].text
    group = typer.main.get_command(app)
    missing = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {name: command}).values():
            options = [each for parameter in inner.params for each in parameter.opts if each.startswith("--") and not parameter.hidden]
            missing += [f"{name} {each}" for each in options if each not in text]
    assert missing == []


def test_a_page_lists_the_commands_that_print_json() -> None:
    page = (ROOT / "docs" / "how-to" / "reports.md").read_text(encoding="utf-8")
    listed = re.search(r"## For programs\n\n(.*?) print JSON\nwith `--json`", page, re.DOTALL)
    assert listed is not None
    group = typer.main.get_command(app)
    leaves = {f"{name} {inner.name}" if hasattr(each, "commands") else name: inner  # type: ignore[attr-defined]
              for name, each in group.commands.items() for inner in getattr(each, "commands", {name: each}).values()}  # type: ignore[attr-defined]  # fmt: skip
    printing = [name for name, each in leaves.items() if any("--json" in parameter.opts for parameter in each.params)]
    assert re.findall("`([a-z ]+)`", listed[1]) == sorted(printing)


def test_the_reference_has_every_object_of_keras(site: Path, pages: dict[Path, Page]) -> None:
    page = pages[(site / "reference" / "keras.html").resolve()]
    objects = {f"{kind}.{name.lower()}" for kind, table in signature_table().objects.items() for name in table}
    assert objects - page.anchors == set()
    assert [name for name in REFUSED if name not in page.text] == []


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("is missing", ""),
        ("‹target›: is there already, and is not overwritten", "Name another file."),
        ("softmax over one unit is always 1", "Leave the activation out for a number. ‹or› Write `units: ‹outputs›`"),
        ("‹path›: '‹name›' is damaged (‹error›)", "Save it again."),
        ("wants a share of the training examples from 0 up to 1, or `test`, got {value}", ""),
    ],
)
def test_errors_are_read_from_the_code_with_their_remedies(message: str, remedy: str) -> None:
    found = {each.remedy for each in errors() if each.message == message}
    assert found, message
    assert any(each.startswith(remedy) for each in found)


def test_every_error_belongs_to_an_area() -> None:
    found = list(errors())
    assert {each.message for each in found if each.area not in AREAS} == set()
    assert len(found) > 350


def test_an_error_is_found_wherever_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "data"
    package.mkdir()
    (package / "made.py").write_text(
        "class Gone(CnnkitError):\n    def __init__(self, file):\n        super().__init__(f'{file.name}: is gone', 'Look for it.')\n\n"
        "def read(path, size):\n    what = 'too large' if size else 'empty'\n    raise CnnkitError(f'{path}: {what}', remedy='Cut it.')\n"
        "    raise CnnkitError(str(error))\n"
    )
    monkeypatch.setattr("cnnkit.__file__", str(tmp_path / "__init__.py"))
    assert sorted((each.message, each.remedy) for each in errors()) == [
        ("‹name›: is gone", "Look for it."),
        ("‹path›: too large ‹or› empty", "Cut it."),
    ]


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


BEYOND_THE_EDGE = """(() => {
    const scrolls = (each) => each && (/auto|scroll|hidden/.test(getComputedStyle(each).overflowX) || scrolls(each.parentElement));
    return [...document.querySelectorAll(".md-content *, .md-header *, .md-footer *")].filter((each) => each.checkVisibility()
        && each.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !scrolls(each.parentElement))
        .map((each) => each.outerHTML.slice(0, 80));
})()"""
IN_SCHEME = """new Promise((done) => {
    const until = Date.now() + 20000;
    const look = () => {
        const shade = getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).reduce((sum, each) => sum + +each, 0) / 3;
        const found = (shade < 128) === ("SCHEME" === "dark");
        return found || Date.now() > until ? done(found) : setTimeout(look, 20);
    };
    look();
})"""
UNLOADED = "[...document.images].filter((each) => !(each.complete && each.naturalWidth)).map((each) => each.src)"


@pytest.mark.skipif(chromium() is None, reason="needs Chromium")
def test_no_page_is_wider_than_a_phone_or_complains(site: Path, address: str) -> None:
    """Each page is opened at the width of a phone and of a desk; in either, light and dark."""
    faults = []
    with Browser() as browser:
        for path in sorted(set(site.rglob("*.html")) - {site / "404.html"}):  # that one is served at any address
            for width in (390, 1280):
                browser.open_url(f"{address}/{path.relative_to(site)}", width=width)
                for scheme in ("light", "dark"):
                    browser.show_in(scheme)
                    is_shown = browser.awaited(IN_SCHEME.replace("SCHEME", scheme))
                    room, needed = browser.value("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
                    found = {
                        "pixels too wide": max(0, needed - room),
                        "window of another width": browser.value("innerWidth") != width,
                        "beyond the edge": browser.value(BEYOND_THE_EDGE),
                        "not loaded": browser.value(UNLOADED),
                        "background not of the scheme": not is_shown,
                    }
                    faults += [(str(path.relative_to(site)), width, scheme, what, each) for what, each in found.items() if each]
        assert faults == []
        assert browser.complaints == []
        assert [each for each in browser.requests if not each.startswith((f"{address}/", "data:", f"blob:{address}/"))] == []


@pytest.mark.skipif(chromium() is None, reason="needs Chromium")
def test_a_copy_button_copies_what_is_typed(address: str) -> None:
    with Browser() as browser:
        browser.open_url(f"{address}/first-run.html", width=1280)
        copied = browser.awaited("""new Promise((done) => {
            document.addEventListener("copy", () => done(getSelection().toString() || document.activeElement.value));
            [...document.querySelectorAll("pre")].find((each) => each.textContent.includes("--epochs 3")).querySelector("button").click();
            setTimeout(() => done("nothing"), 5000);
        })""")
        assert copied == "cnnkit train digits.yaml --epochs 3"
