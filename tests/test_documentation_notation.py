"""The notation of `tests/documentation`: what counts as a difference between a page and what is printed, and what does not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.documentation.blocks import Notes, commands, pictures, read_page
from tests.documentation.comparison import difference
from tests.documentation.pages import static_faults
from tests.documentation.pictures import picture_difference, save_small
from tests.documentation.prose import prose_faults
from tests.documentation.terminal import ROOT, Terminal
from tests.documentation.usage import usage_faults

EXACT = Notes()
TABLE = """\
 epoch     loss   accuracy   images/s   seconds
 ──────────────────────────────────────────────
     1   2.0684     0.4038        105      15.9

Run: runs/digits
"""


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("loss 0.5", "loss 0.5"),
        ("\nloss 0.5\n\n", "loss 0.5"),
        ("a   b", "  a b  "),
        ("first\n...\nlast", "first\nsecond\nthird\nlast"),
        ("first\n...\nlast", "first\nlast"),
        ("...", ""),
        ("Wrote ... plots", "Wrote 5 plots"),
        ("────", "──────────"),
    ],
)
def test_spaces_rules_and_dots_may_differ(said: str, printed: str) -> None:
    assert difference(said, printed, EXACT) == ""


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("loss 0.5", "loss 0.6"),
        ("loss 0.5", "loss 0.5 more"),
        ("a\nb", "a"),
        ("a", "a\nb"),
        ("first\n...\nlast", "first\nsecond"),
        ("conv2d_1", "conv2d_2"),
        ("a.b", "axb"),
    ],
)
def test_any_other_text_is_a_difference(said: str, printed: str) -> None:
    assert difference(said, printed, EXACT) != ""


def test_decimal_numbers_may_differ_by_the_tolerance_and_whole_numbers_not_at_all() -> None:
    notes = Notes(within=0.05)
    assert difference("0.90 of 360", "0.949 of 360", notes) == ""
    assert difference("0.90 of 360", "0.96 of 360", notes) != ""
    assert difference("0.90 of 360", "0.90 of 361", notes) != ""


def test_whole_numbers_have_a_tolerance_of_their_own() -> None:
    notes = Notes(within=0.5, counts_within=2)
    assert difference("33 of 36", "35 of 36", notes) == ""
    assert difference("33 of 36", "36 of 36", notes) != ""


def test_numbers_below_a_heading_that_varies_are_free_and_others_are_not() -> None:
    notes = Notes(varies=("images/s", "seconds"))
    assert difference(TABLE, TABLE.replace("     105      15.9", "   9,999       0.1"), notes) == ""
    assert difference(TABLE, TABLE.replace("0.4038", "0.4039"), notes) != ""


def test_numbers_in_a_row_that_varies_are_free() -> None:
    assert difference("seconds   10.2   8.3", "seconds   1.0   2.0", Notes(varies=("seconds",))) == ""
    assert difference("second    10.2   8.3", "second    1.0   2.0", Notes(varies=("seconds",))) != ""


def test_numbers_beside_a_unit_that_varies_are_free() -> None:
    assert difference("done in 12.5 s", "done in 3.1 s", Notes(varies=("s",))) == ""
    assert difference("done in 12.5 steps", "done in 3.1 steps", Notes(varies=("s",))) != ""


def test_a_difference_names_the_line() -> None:
    assert difference("a\nb\nc", "a\nX\nc", EXACT) == "the page says:  b\nit prints:      X"


def test_a_page_is_read_into_blocks_with_what_is_noted_before_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- page: within 0.1 -->\n\n```console\n$ a \\\n  b\nout\n$ c\n```\n\n<!-- exit status 1; varies: s, ms -->\n\n"
        '```python title="x.py"\npass\n```\n\n```text\nshown\n```\n\nwords\n\n```text\nalone\n```\n'
    )
    console, python, shown, alone = read_page(page)
    assert [(each.line, each.expected, each.at) for each in commands(console)] == [("a \\\n  b", "out", 4), ("c", "", 7)]
    assert (python.title, python.notes) == ("x.py", Notes(within=0.1, varies=("s", "ms"), exit_status=1))
    assert (shown.follows, alone.follows, alone.notes) == ("python", "", Notes(within=0.1))


def test_an_unknown_note_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- withn 0.1 -->\n")
    with pytest.raises(ValueError, match=r"unknown note 'withn 0\.1'"):
        read_page(page)


def test_a_picture_is_named_with_what_makes_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- made: runs/a/curves.png -->\n\n![Curves](images/curves.png)\n")
    assert pictures(page) == [("runs/a/curves.png", tmp_path / "images" / "curves.png")]


@pytest.mark.parametrize(
    ("script", "faults"),
    [
        ("cnnkit train a.yaml --epochs 3   # words", 0),
        ("for x in a b; do\n  cnnkit train $x\ndone", 0),
        ("TOKEN=$(date) cnnkit serve runs/a --host 0.0.0.0", 0),
        ("cnnkit launch --workers 2 -- train a.yaml", 0),
        ("cnnkit data check a.yaml && cnnkit train a.yaml", 0),
        ("cnnkit runs --json | grep -c finished", 0),
        ("cnnkit train a.yaml --epoch 3", 1),
        ("cnnkit trian a.yaml", 1),
        ("cnnkit data chek a.yaml && cnnkit train --epochs none", 2),
        ("cnnkit init", 1),
    ],
)
def test_command_lines_are_checked_by_the_program_itself(script: str, faults: int) -> None:
    assert len(list(usage_faults(script))) == faults


@pytest.mark.parametrize(
    ("config", "is_wrong"),
    [
        ("train: {epochs: 3}", False),
        ("train:\n  phases:\n    - {train: from block_16_expand}", False),
        ("train: {epochs: many}", True),
        ("train: {epoch: 3}", True),
    ],
)
def test_parts_of_a_config_are_checked(config: str, is_wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```yaml\n{config}\n```\n")
    assert bool(list(static_faults(str(page), tmp_path))) is is_wrong


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`cnnkit train CONFIG --epochs 3`, `cnnkit COMMAND --help`, `cnnkit data check x.yaml`", ""),
        ("`cnnkit trane CONFIG`", "page.md:2: cnnkit trane CONFIG: no such command"),
        ("`cnnkit data chek`", "page.md:2: cnnkit data chek: no such command"),
        ("`cnnkit runs --top 3`", "page.md:2: cnnkit runs --top 3: --top is no option"),
        ("`--top`, `--no-heatmaps`, `--ntasks-per-node=1`", ""),
        ("`--tops 3`", "page.md:2: --tops 3: --tops is no option"),
        ("`data.sampling: balanced`, `train.epochs=3`, `sweep.trials`, `model.keras`, `model.summary()`", ""),
        ("`data.sample`", "page.md:2: data.sample: no such key of a config"),
        ("```sh\n`data.sample`\n```", ""),
    ],
)
def test_commands_options_and_keys_in_the_text_are_checked(text: str, fault: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n{text}\n", encoding="utf-8")
    assert list(prose_faults(page)) == ([fault] if fault else [])


def test_pictures_are_compared_by_what_they_show_not_by_their_pixels(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 300)[None, :, None], (200, 1, 3)).astype(np.uint8)
    noisy = np.clip(ramp + np.random.default_rng(0).normal(0, 20, ramp.shape), 0, 255).astype(np.uint8)
    for name, array in (("ramp", ramp), ("noisy", noisy), ("mirrored", ramp[:, ::-1]), ("tall", ramp[:, :100])):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    save_small(tmp_path / "ramp.png", tmp_path / "shown.png")
    compared = {
        name: picture_difference(tmp_path / f"{name}.png", tmp_path / "shown.png") for name in ("ramp", "noisy", "mirrored", "tall")
    }
    assert [name for name, text in compared.items() if text] == ["mirrored", "tall"]


def test_the_terminal_runs_what_is_typed_and_returns_how_it_ended(tmp_path: Path) -> None:
    with Terminal() as terminal:
        assert terminal.command("cnnkit --version", tmp_path).text.strip()
        assert terminal.command("cnnkit check none.yaml", tmp_path).exit_status == 1
        assert terminal.command("echo a | grep b", tmp_path).exit_status == 1
        assert terminal.python("print(6 * 7)", tmp_path).text == "42\n"
        failed = terminal.python("import keras; keras.utils.get_file('x', 'http://localhost/x', cache_dir='.')", tmp_path)
        assert (failed.exit_status, "without a network" in failed.text) == (1, True)


def test_the_repository_is_the_one_that_is_run(tmp_path: Path) -> None:
    with Terminal() as terminal:
        printed = terminal.python("import cnnkit; print(cnnkit.__file__)", Path(tmp_path)).text
    assert printed.strip() == str(ROOT / "cnnkit" / "__init__.py")
