"""The server's page in headless Chromium, the way a person uses it: pictures are dropped, answers and heatmaps appear."""

import base64
import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Browser, chromium
from serve_harness import READER, png, running

from cnnkit.serving.heatmap import _data_uri, _enlarged, _overlay

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium here: `apt-get install chromium` to test the page in a browser"
)

DROP = """
(files => {
  const dropped = new DataTransfer();
  for (const [name, content] of files) {
    dropped.items.add(new File([Uint8Array.from(atob(content), each => each.charCodeAt(0))], name, {type: "image/png"}));
  }
  dispatchEvent(new DragEvent("drop", {dataTransfer: dropped}));
})(%s)
"""


class Heatmaps:
    """In place of Grad-CAM, which would import TensorFlow: the heatmap of the upper left corner."""

    why_none = ""

    def submit(self, picture: bytes) -> "Future[dict[str, Any]]":
        pixels = READER.read(picture)
        cells = np.zeros((4, 4))
        cells[0, 0] = 1
        found: Future[dict[str, Any]] = Future()
        overlay = _data_uri(_overlay(cells, _enlarged(pixels).shape[:2]))
        found.set_result(
            {"name": "red", "layer": "conv", "cells": cells.tolist(), "picture": _data_uri(_enlarged(pixels)), "overlay": overlay}
        )
        return found

    def close(self) -> None:
        pass


def drop(browser: Browser, *files: tuple[str, bytes]) -> None:
    browser.value(DROP % json.dumps([(name, base64.b64encode(content).decode()) for name, content in files]))


def until(browser: Browser, condition: str) -> None:
    deadline = time.monotonic() + 60
    while not browser.value(condition):
        assert time.monotonic() < deadline, browser.value("document.body.innerText")
        time.sleep(0.05)


def texts(browser: Browser, selector: str) -> Any:
    return browser.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(each => each.textContent)")


def test_pictures_dropped_on_the_page_get_answers_errors_and_heatmaps(tmp_path: Path) -> None:
    hostile = '<img src=x onerror="document.title=1">.png'
    with running(heatmaps=Heatmaps()) as server, Browser() as browser:
        browser.open_url(f"http://127.0.0.1:{server.port}/", 1200)
        until(browser, "document.title === 'colour · cnnkit'")
        assert texts(browser, "#about") == ["3 classes · input 8 × 8 × 3 · ONNX Runtime"]
        drop(browser, (hostile, png((230, 20, 30))), ("broken.png", b"junk"))
        until(browser, "document.querySelectorAll('li').length === 3 && document.querySelectorAll('.error').length === 1")
        assert texts(browser, "h2") == [hostile, "broken.png"]
        assert texts(browser, "li .name")[0] == "red"
        width = browser.value("document.querySelector('.bar i').offsetWidth / document.querySelector('.bar').offsetWidth")
        shown = float(texts(browser, "li span:last-of-type")[0].removesuffix(" %")) / 100
        assert width == pytest.approx(shown, abs=0.02)
        assert texts(browser, ".error") == ["not a JPEG, PNG, GIF, BMP, WebP or TIFF image"]
        browser.value("document.querySelector('.tools button').click()")
        until(browser, "[...document.querySelectorAll('.stage img')].filter(each => each.complete && each.naturalWidth).length === 2")
        assert texts(browser, ".tools span") == ["Evidence for red"]
        assert browser.value("document.title") == "colour · cnnkit"
        assert [each for each in browser.complaints if "ERR_" not in each] == []


def test_it_fits_a_phone_and_follows_the_scheme() -> None:
    grounds: dict[str, str] = {}
    with running(without_heatmaps="There are no heatmaps.") as server, Browser() as browser:
        for path in ("/", "/docs"):
            for width, scheme in ((1200, "light"), (390, "light"), (390, "dark")):
                browser.open_url(f"http://127.0.0.1:{server.port}{path}", width, scheme=scheme)
                if path == "/":
                    until(browser, "document.title === 'colour · cnnkit'")
                    drop(browser, ("a-very-long-file-name-" * 6 + ".png", png()))
                    until(browser, "document.querySelectorAll('li').length === 3")
                    assert texts(browser, "#heatmaps") == ["There are no heatmaps."]
                    assert texts(browser, ".tools button") == []
                assert browser.value("document.documentElement.scrollWidth") <= width
                grounds[scheme] = browser.value("getComputedStyle(document.body).backgroundColor")
        assert browser.complaints == []
    assert grounds == {"light": "rgb(245, 246, 248)", "dark": "rgb(13, 17, 23)"}


def test_with_a_token_the_page_asks_for_it() -> None:
    with running(token="s3cret-s3cret") as server, Browser() as browser:
        browser.open_url(f"http://127.0.0.1:{server.port}/", 390)
        until(browser, "!document.getElementById('token').hidden")
        browser.value("document.getElementById('secret').value = 's3cret-s3cret'")
        browser.value("document.querySelector('#token button').click()")
        until(browser, "document.title === 'colour · cnnkit'")
        drop(browser, ("a.png", png()))
        until(browser, "document.querySelectorAll('li').length === 3")
        assert browser.value("document.getElementById('token').hidden")
