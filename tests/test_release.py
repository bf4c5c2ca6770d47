"""What is released works where it is used: commit hooks, the Action, editors, shells, archives without Git's history."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

GOOD = "data: {dataset: digits}\nmodel: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n"
BROKEN = "data: {dataset: digits}\nmodel:\n  layers:\n    - Dense: {unit: 10}\n"


def run(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{BIN}:{os.environ['PATH']}", **environment}
    return subprocess.run([*map(str, arguments)], cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository with two configs, of which one is broken, and the hook of this package, run by the installed cnnkit."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    entry = hook["entry"].replace("cnnkit", f"{sys.executable} -m cnnkit", 1)
    local = {"repo": "local", "hooks": [{**hook, "entry": entry, "language": "system"}]}
    folder = tmp_path / "repository"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "good.yaml").write_text(GOOD)
    (folder / "configs" / "broken.yaml").write_text(BROKEN)
    (folder / "other.yaml").write_text("no: config\n")
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [local]}))
    for arguments in (("init", "-q"), ("add", "-A")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def test_the_hook_names_the_line_of_a_broken_config_and_passes_once_it_is_mended(repository: Path) -> None:
    failed = run(BIN / "pre-commit", "run", "--all-files", folder=repository, PRE_COMMIT_HOME=str(repository / "home"))
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "configs/broken.yaml:4:15: model.layers[0].Dense.unit: unknown argument. Did you mean 'units'?" in failed.stdout
    assert "configs/good.yaml: good, as far as can be known without its data." in failed.stdout
    assert "other.yaml" not in failed.stdout
    (repository / "configs" / "broken.yaml").write_text(GOOD)
    passed = run(BIN / "pre-commit", "run", "--all-files", folder=repository, PRE_COMMIT_HOME=str(repository / "home"))
    assert passed.returncode == 0, passed.stdout + passed.stderr


def test_the_page_on_installing_names_every_extra() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs" / "install.md").read_text(encoding="utf-8"), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(extras)


def test_the_hook_file_is_valid() -> None:
    checked = run(BIN / "pre-commit", "validate-manifest", ".pre-commit-hooks.yaml", folder=ROOT)
    assert checked.returncode == 0, checked.stdout


def test_the_action_is_valid_by_its_schema() -> None:
    checked = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml", folder=ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("configs", "data", "status", "printed"),
    [
        ("configs/*.yaml", "false", 1, "configs/broken.yaml:4:15"),
        ("configs/good.yaml", "false", 0, "good, as far as can be known without its data"),
        ("configs/good.yaml", "true", 0, "good. 3 layers, 650 parameters."),
        ("nothing/*.yaml", "false", 1, "no file matches nothing/*.yaml"),
    ],
)
def test_the_script_of_the_action_checks_what_it_is_given(repository: Path, configs: str, data: str, status: int, printed: str) -> None:
    """Its last step, run by bash as GitHub runs it (`bash --noprofile --norc -eo pipefail`)."""
    step = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][-1]
    script = step["run"].replace("cnnkit check", f"{sys.executable} -m cnnkit check")
    done = run("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script, folder=repository, CONFIGS=configs, DATA=data)
    assert done.returncode == status, done.stdout + done.stderr
    assert printed in done.stdout + done.stderr


def test_check_each_lists_the_errors_of_all_files(repository: Path) -> None:
    """Without it, several files are merged into one config."""
    (repository / "configs" / "worse.yaml").write_text(GOOD + "train: {epochs: no}\n")
    files = ["configs/broken.yaml", "configs/good.yaml", "configs/worse.yaml"]
    done = run(sys.executable, "-m", "cnnkit", "check", "--each", "--without-data", *files, folder=repository)
    assert done.returncode == 1
    assert re.findall(r"configs/\w+\.yaml:\d+:\d+", done.stderr) == ["configs/broken.yaml:4:15", "configs/worse.yaml:3:17"]


def test_check_without_data_needs_neither_data_nor_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(GOOD.replace("dataset: digits", "folder: nowhere"))
    code = "import sys; sys.argv = ['cnnkit', 'check', '--without-data', 'c.yaml']\nfrom cnnkit.cli import main\ntry: main()\nexcept SystemExit as end: print(end.code, 'tensorflow' in sys.modules)"
    done = run(sys.executable, "-c", code, folder=tmp_path)
    assert done.stdout == "c.yaml: good, as far as can be known without its data.\n0 False\n", done.stderr
    assert run(sys.executable, "-m", "cnnkit", "check", "c.yaml", folder=tmp_path).returncode == 1


def test_editors_find_the_schema_of_every_packaged_config() -> None:
    """By VS Code's setting, and by the first line of each config for other editors' YAML language servers."""
    schemas = json.loads((ROOT / ".vscode" / "settings.json").read_text())["yaml.schemas"]
    (schema,) = schemas
    assert (ROOT / schema).is_file()
    for config in (ROOT / "configs").glob("*.yaml"):
        assert any(config.relative_to(ROOT).match(pattern) for pattern in schemas[schema])
        assert config.read_text().startswith("# yaml-language-server: $schema=schema.json\n"), config


def complete(words: str, folder: Path) -> list[str]:
    typed = words.split(" ")
    environment = {"_CNNKIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(typed) - 1)}
    code = "import sys; sys.argv[0] = 'cnnkit'\nfrom cnnkit.cli import main\ntry: main()\nfinally: assert 'tensorflow' not in sys.modules"
    return run(sys.executable, "-c", code, folder=folder, **environment).stdout.split()


def test_the_shell_completes_configs_and_runs(tmp_path: Path) -> None:
    for name in ("runs/digits-2", "pictures", "runs/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    for name in ("digits-mine.yaml", "digits.txt", ".hidden.yaml", "digits.onnx"):
        (tmp_path / name).touch()
    assert complete("cnnkit train di", tmp_path) == ["digits", "digits-mine.yaml"]
    assert complete("cnnkit check p", tmp_path) == ["pictures/"]
    assert complete("cnnkit check pictures/", tmp_path) == ["pictures/config.yaml"]
    assert complete("cnnkit evaluate di", tmp_path) == ["digits-2", "digits.onnx"]
    assert complete("cnnkit train --resume o", tmp_path) == ["other"]
    assert complete("cnnkit summary di", tmp_path) == ["digits", "digits-mine.yaml", "digits-2", "digits.onnx"]
    assert complete("cnnkit nothing/", tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell: str, tmp_path: Path) -> None:
    """Typer finds the shell by its parent process, or by this variable of its own tests."""
    environment = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    code = "import sys; sys.argv[:] = ['cnnkit', '--install-completion', sys.argv[1]]\nfrom cnnkit.cli import main\nmain()"
    done = run(sys.executable, "-c", code, shell, folder=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert f"{shell} completion installed in" in done.stdout
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "_CNNKIT_COMPLETE" in path.read_text()]
    assert len(written) == 1


def test_a_packaged_config_is_found_by_name_from_anywhere(tmp_path: Path) -> None:
    done = run(sys.executable, "-m", "cnnkit", "check", "--without-data", "digits", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "digits: good, as far as can be known without its data.\n")
    (tmp_path / "digits").write_text(BROKEN)  # a file of that name is meant
    own = run(sys.executable, "-m", "cnnkit", "check", "--without-data", "digits", folder=tmp_path)
    assert own.stderr.startswith("Error: digits:4:15: model.layers[0].Dense.unit: unknown argument.")
    (tmp_path / "digits").unlink()
    (tmp_path / "digits").mkdir()
    shadowed = run(sys.executable, "-m", "cnnkit", "train", "digits", folder=tmp_path)
    assert shadowed.stderr == "Error: digits: is a folder, not a config\n    Resume a run: `cnnkit train --resume digits`.\n"


def test_the_version_is_that_of_the_newest_tag_and_known_without_git(tmp_path: Path) -> None:
    """In a repository of its own with this package's settings: at a tag, and as an archive without history."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    options: Any = settings["tool"]["hatch"]["version"]
    scm = pytest.importorskip("setuptools_scm")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert scm.get_version(root=str(tmp_path), **options["raw-options"]) == "0.1.dev0"
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "one"], ["tag", "v1.2.0"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    assert options["source"] == "vcs"
    assert scm.get_version(root=str(tmp_path), **options["raw-options"]) == "1.2.0"


def test_python_versions_are_told_alike_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    versions = [f"3.{minor}" for minor in range(11, 14)]
    told = [each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert told == versions
    assert re.search(r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split() == versions  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("answer", "status", "printed"),
    [
        ({"dependencies": [{"name": "pip", "version": "1", "vulns": []}, {"name": "own", "skip_reason": "?"}]}, 0, "not known to the service: own\naudit: 1 packages, 0 known vulnerabilities\n"),
        ({"dependencies": [{"name": "pip", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}, 1, "pip 1: PYSEC-1, fixed in 2\naudit: 1 packages, 1 known vulnerabilities\n"),
        (None, 0, "AUDIT NOT MADE: pip-audit could not ask its service about "),
        ({"dependencies": [{"name": "pip", "version": "1", "skip_reason": "not found"}]}, 0, "AUDIT NOT MADE: pip-audit could not ask its service about 1 packages: it knows none of them\n"),
    ],
    ids=["clean", "vulnerable", "unreachable", "unknown"],
)  # fmt: skip
def test_an_audit_fails_only_for_a_vulnerability_and_says_when_it_could_not_be_made(
    answer: Any, status: int, printed: str, tmp_path: Path
) -> None:
    """With a stand-in for pip-audit, which ends with 1 both for a vulnerability and for an unreachable service."""
    stand_in = tmp_path / "pip-audit"
    write = f"printf '%s' '{json.dumps(answer)}' > \"${{each#--output=}}\"" if answer is not None else "echo 'ConnectionError' >&2"
    stand_in.write_text(f'#!/bin/sh\nfor each in "$@"; do case "$each" in --output=*) {write};; esac; done\nexit 1\n')
    stand_in.chmod(0o755)
    done = run(sys.executable, ".ci/audit.py", stand_in, sys.executable, folder=ROOT)
    assert done.returncode == status, done.stderr
    assert done.stdout.startswith(printed)
    assert answer is not None or done.stdout.endswith(" packages: ConnectionError\n")


def test_pythons_that_are_not_there_are_told(tmp_path: Path) -> None:
    done = run(ROOT / ".ci" / "pythons", "3.99", "tests", folder=tmp_path, HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "tested: none; failed: none; not on this machine: 3.99\n")
