"""A throwaway PostgreSQL server for tests, from Debian's packages, on a free local port.

Its cluster is in a folder of its own: PostgreSQL runs as another user where the tests run as root, and pytest closes its folders to others.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD, DATABASE = "sweeper", "s3cret", "sweeps"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    found = [Path(each).resolve().parent for each in (shutil.which("initdb"),) if each]
    found += sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1] if found else None


@contextmanager
def server() -> Iterator[str]:
    """Context manager: the URL of an empty database, with a password."""
    with tempfile.TemporaryDirectory(prefix="cnnkit-postgres-") as folder, _cluster(Path(folder)) as url:
        yield url


@contextmanager
def _cluster(folder: Path) -> Iterator[str]:
    bin_folder = programs()
    assert bin_folder is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        shutil.chown(secret, "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [str(bin_folder / program), *arguments]
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run([*as_user, *command], check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    run("initdb", "-D", str(data), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret), "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-D", str(data), "-o", options, "-w", "-l", str(folder / "log"), "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, DATABASE)
        yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
