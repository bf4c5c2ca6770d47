"""Where exported files go, and what is refused before anything is loaded."""

from pathlib import Path

import pytest

from cnnkit.artifacts.formats import FORMATS, LITERT, ONNX, OPENVINO, TF_SAVED_MODEL, format_named, format_of, newest_version, size_of
from cnnkit.config.task import Task
from cnnkit.errors import CnnkitError
from cnnkit.export.destination import Destination, destinations
from cnnkit.export.placing import place, writable_folder

SOURCE = Path("runs/cifar/model.keras")


def paths(*formats, quantization="", output=None, layout="", source=SOURCE):
    return [each.path for each in destinations(formats, quantization, source, output, layout)]


def refusal(*formats, **options) -> str:
    with pytest.raises(CnnkitError) as error:
        paths(*formats, **options)
    return str(error.value)


def test_files_go_beside_the_model_under_its_name() -> None:
    assert paths(ONNX, LITERT, OPENVINO, TF_SAVED_MODEL) == [
        Path("runs/cifar") / name for name in ("model.onnx", "model.tflite", "model.xml", "model-saved_model")
    ]
    assert paths(ONNX, LITERT, quantization="int8") == [Path("runs/cifar/model-int8.onnx"), Path("runs/cifar/model-int8.tflite")]


def test_an_output_is_the_file_where_it_ends_like_one_and_else_a_folder(tmp_path: Path) -> None:
    assert paths(ONNX, output=tmp_path / "m.onnx") == [tmp_path / "m.onnx"]
    assert paths(ONNX, output=tmp_path / "M.ONNX") == [tmp_path / "M.ONNX"]
    assert paths(ONNX, output=tmp_path / "new") == [tmp_path / "new" / "model.onnx"]
    (tmp_path / "folder.onnx").mkdir()
    assert paths(ONNX, output=tmp_path / "folder.onnx") == [tmp_path / "folder.onnx" / "model.onnx"]
    assert paths(ONNX, LITERT, output=tmp_path / "new") == [tmp_path / "new" / "model.onnx", tmp_path / "new" / "model.tflite"]


def test_a_saved_model_is_the_folder_itself_where_it_is_new_or_holds_versions(tmp_path: Path) -> None:
    assert paths(TF_SAVED_MODEL, output=tmp_path / "flowers") == [tmp_path / "flowers"]
    (tmp_path / "flowers" / "1").mkdir(parents=True)
    assert paths(TF_SAVED_MODEL, output=tmp_path / "flowers") == [tmp_path / "flowers"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert paths(TF_SAVED_MODEL, output=tmp_path / "full") == [tmp_path / "full" / "model-saved_model"]


def test_triton_gets_a_repository_with_a_model_named_after_the_run() -> None:
    assert paths(ONNX, layout="triton") == [Path("runs/cifar/triton/cifar")]
    assert paths(ONNX, layout="triton", quantization="int8", output=Path("repository")) == [Path("repository/cifar-int8")]
    assert paths(ONNX, layout="triton", source=Path("a b.keras")) == [Path("triton/a-b")]


def test_contradictions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    assert refusal(ONNX, output=Path("m.tflite")) == (
        "--output m.tflite: contradicts --format: ONNX is a file that ends in .onnx\n    Name a folder, or leave --output out."
    )
    assert refusal(TF_SAVED_MODEL, output=Path("m.onnx")) == (
        "--output m.onnx: contradicts --format: SavedModel is a folder\n    Name a folder, or leave --output out."
    )
    assert refusal(ONNX, LITERT, output=Path("m.onnx")) == (
        "--output m.onnx: contradicts --format: several formats need a folder\n    Name a folder, or leave --output out."
    )
    assert refusal(TF_SAVED_MODEL, output=tmp_path / "notes") == (
        f"{tmp_path / 'notes'}: is a file, and a folder is wanted\n    Name a folder with --output."
    )
    (tmp_path / "saved_model.pb").touch()
    assert refusal(TF_SAVED_MODEL, output=tmp_path) == (
        f"{tmp_path}: is a SavedModel itself; an export becomes a numbered version in the folder above it\n    Name another --output."
    )


def test_what_a_format_does_not_have_is_refused() -> None:
    assert refusal(OPENVINO, quantization="int8") == ("--quantize int8: not for OpenVINO; it has float16\n    int8 is for onnx and litert.")
    assert refusal(TF_SAVED_MODEL, quantization="float16") == (
        "--quantize float16: not for SavedModel; it has none\n    float16 is for onnx and litert and openvino."
    )
    assert (
        refusal(ONNX, quantization="int4") == "--quantize int4: no such quantization. Did you mean 'int8'?\n    There are: int8, float16."
    )
    assert refusal(LITERT, layout="triton") == (
        "--layout triton: only for ONNX, not for LiteRT\n    Export with `--format onnx --layout triton`."
    )
    assert refusal(ONNX, layout="tritn") == "--layout tritn: no such layout. Did you mean 'triton'?\n    There is: triton."
    with pytest.raises(CnnkitError) as error:
        format_named("onx")
    assert str(error.value) == "--format onx: no such format. Did you mean 'onnx'?\n    There are: onnx, litert, openvino, saved_model."


@pytest.mark.parametrize("target", [ONNX, LITERT, OPENVINO])
def test_a_missing_package_is_an_error_with_the_pip_command(target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CnnkitError) as error:
        target.require(export=True)
    assert error.value.remedy == f'pip install "cnnkit[{target.extra}]"'
    assert all(name in error.value.message for name in (*target.runtime, *target.exporter))


def test_every_export_to_a_server_becomes_the_next_version(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "saved_model.pb").write_bytes(b"1")
    target = Destination(TF_SAVED_MODEL, "", tmp_path / "flowers")
    task = Task("classification", ("a", "b"))
    assert [place(made, target, task, (4, 4, 3), 2) for _ in range(2)] == [1, 2]
    (tmp_path / "flowers" / "10").mkdir()
    assert place(made, target, task, (4, 4, 3), 2) == 11
    assert newest_version(target.path) == target.path / "11"
    assert format_of(target.path) is format_of(target.path / "1") is TF_SAVED_MODEL
    assert format_of(tmp_path / "flowers" / "10") is None


def test_triton_folders_are_onnx_and_keep_earlier_versions(tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    target = Destination(ONNX, "", tmp_path / "repository" / "flowers", "triton")
    for content in (b"first", b"second"):
        made.write_bytes(content)
        place(made, target, Task("classification", ("a\nb", "c")), (4, 4, 3), 2)
    assert {str(path.relative_to(target.path)) for path in target.path.rglob("*") if path.is_file()} == {
        "config.pbtxt", "labels.txt", "1/model.onnx", "2/model.onnx",
    }  # fmt: skip
    assert (target.path / "1/model.onnx").read_bytes() == b"first"
    assert newest_version(target.path) == target.path / "2" / "model.onnx"
    assert format_of(target.path) is ONNX
    assert (target.path / "labels.txt").read_text() == "a\\nb\nc\n"
    assert size_of(target.path) == len(b"second")


def test_exports_at_the_same_time_become_different_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made.onnx"
    target = Destination(ONNX, "", tmp_path / "repository" / "m", "triton")
    monkeypatch.setattr("cnnkit.export.placing.version_numbers", lambda path: [])  # as each saw it before the others were done
    for content in (b"first", b"second", b"third"):
        made.write_bytes(content)
        place(made, target, Task("regression", ("x",)), (4,), 1)
    written = {path.parent.name: path.read_bytes() for path in target.path.glob("*/model.onnx")}
    assert written == {"1": b"first", "2": b"second", "3": b"third"}
    assert [path.name for path in target.path.iterdir() if path.name.startswith(".")] == []


def test_an_openvino_model_has_its_weights_beside_it(tmp_path: Path) -> None:
    (tmp_path / "made.xml").write_bytes(b"network")
    (tmp_path / "made.bin").write_bytes(b"weights!")
    target = Destination(OPENVINO, "", tmp_path / "m.xml")
    assert place(tmp_path / "made.xml", target, Task("regression", ("x",)), (4,), 1) is None
    assert ((tmp_path / "m.xml").read_bytes(), (tmp_path / "m.bin").read_bytes()) == (b"network", b"weights!")
    assert size_of(target.path) == len(b"networkweights!")


def test_folders_that_were_made_for_nothing_are_removed_again(tmp_path: Path) -> None:
    with writable_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with writable_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CnnkitError) as error, writable_folder(tmp_path / "file" / "folder"):
        pass
    assert str(error.value) == f"{tmp_path}/file/folder: cannot be written (Not a directory)\n    Name another place with --output."

    def refuse(**options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(CnnkitError) as error, writable_folder(tmp_path / "new" / "deeper"):
        pass
    assert error.value.message == "cannot be written (Read-only file system)"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_formats_are_known_by_their_file_names(tmp_path: Path) -> None:
    named = {each: format_of(tmp_path / f"m{each.suffix.upper()}") for each in FORMATS.values() if each.suffix}
    assert all(each is found for each, found in named.items())
