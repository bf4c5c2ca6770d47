"""Where the trials of a sweep are recorded: a journal in its folder, or PostgreSQL for several machines."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cnnkit.errors import CnnkitError
from cnnkit.experiments.sweep.folder import SweepFolder
from cnnkit.experiments.sweep.journal import open_journal, repair

DRIVER = "postgresql+psycopg"  # psycopg 3, which the extra `sweep` installs
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class StorageAddress:
    """Where trials are recorded.

    Attributes:
        url: Of a database; empty for the journal in the sweep's folder. It may hold a password, so it is never printed.
    """

    url: str = ""

    def described(self, folder: SweepFolder) -> str:
        """The address for people, without the password."""
        return _without_password(self.url) if self.url else folder.journal.name


def parse_storage(url: str | None) -> StorageAddress:
    """The address of `--storage`.

    Raises:
        CnnkitError: It is not that of a PostgreSQL database.
    """
    if url is None:
        return StorageAddress()
    scheme = url.partition(":")[0].lower()
    if re.fullmatch(r"postgres(ql)?(\+psycopg)?", scheme) and "://" in url:
        return StorageAddress(f"{DRIVER}://{url.partition('://')[2]}")
    remedy = "Write `--storage postgresql://user@host/database`, or leave it out for workers on one machine."
    if scheme.startswith("sqlite"):
        raise CnnkitError("--storage: SQLite is not safe with several writers (Optuna's own FAQ), so it is refused", remedy)
    raise CnnkitError(f"--storage: wants a PostgreSQL database, got {_without_password(url)!r}", remedy)


def open_storage(address: StorageAddress, folder: SweepFolder) -> tuple[Any, str]:
    """Optuna's storage at an address, and a notice for the user, which may be empty.

    Raises:
        CnnkitError: The journal is damaged, or the database cannot be reached.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not address.url:
        notice = repair(folder.journal)
        return open_journal(folder.journal), notice
    options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": CONNECT_SECONDS}}
    with storage_errors(address, folder):
        try:
            return optuna.storages.get_storage(optuna.storages.RDBStorage(address.url, engine_kwargs=options)), ""
        except (ValueError, ImportError) as error:  # a port that is no number; no driver
            raise _unusable(address, folder, error) from None


@contextlib.contextmanager
def storage_errors(address: StorageAddress, folder: SweepFolder) -> Iterator[None]:
    """Context manager: an error of the database becomes one that names it, without its password.

    Raises:
        CnnkitError: The database failed.
    """
    if not address.url:
        yield
        return
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unusable(address, folder, error) from None


def _unusable(address: StorageAddress, folder: SweepFolder, error: BaseException) -> CnnkitError:
    message = f"--storage: {address.described(folder)} cannot be used: {_without(_first_line(error), _password(address.url))}"
    return CnnkitError(message, "Check that the server runs, that the database exists, and user and password.")


def _first_line(error: BaseException) -> str:
    """The first cause in one line: what the driver said, and not what SQLAlchemy met when it went on after that."""
    causes: list[BaseException] = [error]
    while (before := causes[-1].__cause__ or causes[-1].__context__) is not None and before not in causes:
        causes.append(before)
    said = [orig for each in causes if (orig := getattr(each, "orig", None)) is not None]
    lines = [line.strip() for line in str(said[-1] if said else error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _password(url: str) -> str:
    match = re.match(r"[^/]*://[^:@/]*:(.*)@", url)
    return match.group(1) if match else ""


def _without_password(url: str) -> str:
    """The URL in the spelling of `--storage`, without driver and password."""
    plain = re.sub(r"^postgres[^:]*://", "postgresql://", url)
    plain = re.sub(r"(://[^:@/]*):.*@", r"\1@", plain)
    return re.sub(r"([?&]password=)[^&]*", r"\1…", plain)


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "…") if secret else text
