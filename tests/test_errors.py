"""An error keeps its message, remedy and location apart, and has one rendering."""

import errno

import pytest

from cnnkit.data.images.decode import ImageFault, Reason
from cnnkit.errors import BuildError, CnnkitError, ConfigError, Fault, Mark, Problem
from cnnkit.io.atomic import WriteError, write_text
from cnnkit.prediction.inputs import Example
from cnnkit.prediction.predict import _value

PROBLEM = Problem("wants an integer, got 'x'", "Write it without quotes.", "train.epochs", Mark("run.yaml", 7, 5))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CnnkitError("no such run"), "no such run"),
        (CnnkitError("no such run", "See `cnnkit runs`."), "no such run\n    See `cnnkit runs`."),
        (CnnkitError("no such run", "See `cnnkit runs`.", "runs/x"), "runs/x: no such run\n    See `cnnkit runs`."),
        (ImageFault(Reason.CORRUPT, "bad marker"), "image: corrupt (bad marker)\n    Replace the file, or leave it out of the data."),
        (
            BuildError(Fault(("model", "layers", 2, "Conv2D"), "does not fit", "Make it smaller.")),
            "model.layers[2].Conv2D: does not fit\n    Make it smaller.",
        ),
        (ConfigError([PROBLEM]), "run.yaml:7:5: train.epochs: wants an integer, got 'x'\n    Write it without quotes."),
    ],
)
def test_an_error_prints_its_location_then_the_message_then_the_remedy_below(error, text):
    assert str(error) == text
    assert text == (f"{error.location}: " if error.location else "") + error.message + (f"\n    {error.remedy}" if error.remedy else "")


def test_several_problems_of_a_config_are_printed_in_the_order_of_their_places_each_once():
    later = Problem("is missing", path="train.loss", mark=Mark("run.yaml", 9, 1))
    error = ConfigError([later, PROBLEM, later])
    assert error.problems == (PROBLEM, later)
    assert str(error) == f"{PROBLEM}\n{later}"


def test_a_file_that_cannot_be_written_names_itself_as_the_location(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError) as caught:
        write_text(tmp_path / "out.csv", "x")
    error = caught.value
    assert (error.location, error.message) == (str(tmp_path / "out.csv"), "cannot be written (No space left on device)")
    assert str(error).startswith(f"{error.location}: cannot be written (No space left on device)\n    Make room")


def test_what_is_wrong_with_one_example_leaves_out_its_name_and_the_remedy():
    def broken():
        raise CnnkitError("corrupt: a colon", "Replace it.", location="a: b.png")

    assert _value(Example("a: b.png", broken)) == "corrupt: a colon"
