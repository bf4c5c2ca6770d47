"""Where trials are recorded: a torn journal is repaired, its lock dies with its process, and a database that fails is named without its password."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from cnnkit.errors import CnnkitError
from cnnkit.experiments.sweep.folder import SweepFolder
from cnnkit.experiments.sweep.journal import open_journal, repair
from cnnkit.experiments.sweep.storage import StorageAddress, open_storage, parse_storage
from tests.sweeping import opened


def tell_one(journal: Path, number: int) -> None:
    study = optuna.load_study(study_name="s", storage=open_journal(journal), sampler=optuna.samplers.RandomSampler(seed=number))
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1))


def known(journal: Path) -> list[tuple[str, Any, Any]]:
    """State, value and parameters of each trial, by Optuna's own unlocked reader."""
    backend = optuna.storages.journal.JournalFileBackend(str(journal))
    study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    return [(trial.state.name, trial.value, trial.params) for trial in study.trials]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(study_name="s", storage=open_journal(path))
    tell_one(path, 1)
    return path


def test_a_line_torn_anywhere_is_removed_with_a_notice_and_nothing_else_is_lost(journal: Path, tmp_path: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    before, last = b"".join(lines[:-1]), lines[-1]
    for cut in range(1, len(last)):
        torn = tmp_path / f"torn-{cut}.jsonl"
        torn.write_bytes(before + last[:cut])
        notice = repair(torn)
        assert torn.read_bytes() == before
        assert notice == (
            f"The last line of {torn} was torn ({cut:,} bytes of a record that was being written when a process was killed). "
            "It was removed; the trial that it belonged to is resumed."
        )


def test_a_whole_journal_is_left_as_it_is(journal: Path) -> None:
    content = journal.read_bytes()
    assert repair(journal) == ""
    assert journal.read_bytes() == content
    assert repair(journal.with_name("none.jsonl")) == ""


def test_an_append_after_a_tear_is_read_though_optunas_own_is_not(journal: Path, tmp_path: Path) -> None:
    torn = journal.read_bytes() + b'{"op_code":6,"trial'
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    ours.write_bytes(torn)
    theirs.write_bytes(torn)
    tell_one(ours, 2)
    assert [state for state, _, _ in known(ours)] == ["COMPLETE", "COMPLETE"]
    backend = optuna.storages.journal.JournalFileBackend(str(theirs))
    study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    for _ in range(2):
        with contextlib.suppress(ValueError, AttributeError):
            study.ask()
    with pytest.raises(ValueError, match=r"Expecting|delimiter|char"):  # the reason for our lock; fails once Optuna mends this
        known(theirs)


def test_a_journal_damaged_in_its_middle_is_an_error_with_its_line(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = b'{"op_code":4,\n'
    journal.write_bytes(b"".join(lines))
    with pytest.raises(CnnkitError) as caught:
        open_journal(journal)
    assert str(caught.value) == (
        f"{journal}:3: is damaged, so the trials cannot be read\n    Restore it from a backup, or begin anew under another name: `--set name=NAME`."
    )


def test_the_lock_of_a_killed_process_is_free_at_once(journal: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cnnkit.experiments.sweep.journal import JournalLock;"
        "JournalLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(journal)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    tell_one(journal, 3)  # Optuna's own lock would wait for 30 s
    assert len(known(journal)) == 2


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("sqlite:///sweep.db", "--storage: SQLite is not safe with several writers (Optuna's own FAQ), so it is refused"),
        ("mysql://me:secret@host/db", "--storage: wants a PostgreSQL database, got 'mysql://me@host/db'"),
        ("host", "--storage: wants a PostgreSQL database, got 'host'"),
    ],
)  # fmt: skip
def test_other_storages_are_refused_without_their_password(url: str, error: str) -> None:
    with pytest.raises(CnnkitError) as caught:
        parse_storage(url)
    assert (
        str(caught.value) == f"{error}\n    Write `--storage postgresql://user@host/database`, or leave it out for workers on one machine."
    )


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:pa:ss@127.0.0.1:1/db", "postgresql://me@127.0.0.1:1/db?password=pa:ss", "postgresql://me:pa:ss@127.0.0.1:port/db"],
)
def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(CnnkitError) as caught:
        open_storage(parse_storage(url), SweepFolder(tmp_path))
    text = str(caught.value)
    assert text.startswith("--storage: postgresql://me@127.0.0.1:")
    assert "cannot be used: " in text
    assert text.endswith("\n    Check that the server runs, that the database exists, and user and password.")
    assert "pa:ss" not in text
    assert caught.value.__cause__ is None


def test_a_sweep_of_that_name_with_another_space_is_an_error(tmp_path: Path) -> None:
    opened(tmp_path)
    space = {"data.batch_size": {"CategoricalDistribution": {"choices": [16, 32]}}}
    with pytest.raises(CnnkitError) as caught:
        opened(tmp_path, sweep={"space": space})
    assert str(caught.value).startswith(
        f"{tmp_path}/sweep: holds a sweep of another config, whose trials cannot be compared:\n    sweep.space."
    )
    assert str(caught.value).endswith("    Name this one otherwise: `--set name=NAME`. Only `sweep.trials` may change in a sweep.")


@pytest.mark.parametrize("sections", [{"train": {"epochs": 3}}, {"sweep": {"objective": "val_loss"}}, {"data": {"limit": 100}}])
def test_whatever_trials_depend_on_may_not_change(tmp_path: Path, sections: dict[str, Any]) -> None:
    opened(tmp_path)
    with pytest.raises(CnnkitError, match="holds a sweep of another config"):
        opened(tmp_path, **sections)


def test_more_trials_may_be_asked_for(tmp_path: Path) -> None:
    opened(tmp_path)
    assert opened(tmp_path, sweep={"trials": 30}).study.plan.trials == 30


def test_a_folder_with_other_files_is_not_made_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "thesis.tex").write_text("dear reader")
    with pytest.raises(CnnkitError, match=r"is not empty \(thesis\.tex\) and holds no sweep"):
        opened(tmp_path)


def test_trials_without_their_journal_are_an_error_and_not_trained_again(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    (sweep.folder.path / "trial-0000").mkdir()
    sweep.folder.journal.unlink()
    with pytest.raises(CnnkitError, match=r"has trials, but journal\.jsonl has none of them"):
        opened(tmp_path)


def test_the_storage_of_a_sweep_may_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnkit.experiments.sweep.run import open_sweep
    from tests.sweeping import loaded

    opened(tmp_path)
    with pytest.raises(CnnkitError) as caught:
        open_sweep(loaded(tmp_path), tmp_path / "sweep", parse_storage("postgresql://me:secret@host/db"))
    assert str(caught.value) == (
        f"{tmp_path}/sweep: the trials of this sweep are in journal.jsonl, not in postgresql://me@host/db\n    Leave --storage out."
    )


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    sweep.folder.record.write_text("{}")
    with pytest.raises(CnnkitError, match=r"sweep\.json: is damaged \(not that of a sweep\)"):
        opened(tmp_path)


def test_the_address_of_a_database_names_the_installed_driver() -> None:
    assert parse_storage("postgres://u@h/d") == parse_storage("postgresql://u@h/d") == StorageAddress("postgresql+psycopg://u@h/d")
    assert parse_storage(None) == StorageAddress()
