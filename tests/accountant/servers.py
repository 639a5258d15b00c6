"""A private, throw-away PostgreSQL server on a Unix socket: durable, without a network, gone with its maker."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accountant.ledger import Postgres

PROGRAMS = ("/usr/lib/postgresql", "/usr/pgsql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
USER = "postgres"
START_SECONDS = 60.0


def missing() -> str | None:
    """What keeps tests from running on PostgreSQL here, in words; None where nothing does."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the driver psycopg isn't installed (pip install 'dpsynth[postgres]')"
    if programs() is None:
        return "the server's programs (initdb, postgres) aren't installed"
    if os.geteuid() == 0 and (shutil.which("setpriv") is None or _account() is None):
        return f"root can't run the server, and there is no user {USER!r} (or no setpriv) to run it as"
    return None


def programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for place in PROGRAMS:
        folders += sorted(Path(place).parent.glob(f"{Path(place).name}*/**/bin"), reverse=True)[:4]
    return next((f for f in folders if (f / "initdb").is_file() and (f / "postgres").is_file()), None)


def _account() -> tuple[int, int] | None:
    import pwd

    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


class Server:
    """A running server. Each ledger gets a schema of its own."""

    def __init__(self, socket: Path, process: "subprocess.Popen[bytes]") -> None:
        self._socket, self.process, self._made = socket, process, 0

    @property
    def conninfo(self) -> str:
        """How libpq reaches it."""
        return f"host={self._socket} dbname=postgres user={USER}"

    def place(self) -> Postgres:
        """Where the next ledger goes."""
        self._made += 1
        return Postgres(conninfo=self.conninfo, schema=f"ledger_{os.getpid()}_{self._made}")

    def sql(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements as the superuser; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def server(within: Path | None = None) -> Iterator[Server]:
    """Start a server with its data in a new folder (in ``within``), and stop it whatever happens."""
    found = programs()
    assert found is not None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=within))
    data, account = folder / "data", _account() if os.geteuid() == 0 else None
    if account is not None:
        os.chown(folder, *account)
    drop = [f"--reuid={account[0]}", f"--regid={account[1]}", "--clear-groups"] if account else []
    as_user = ["setpriv", *drop] if drop else []
    dying = ["setpriv", *drop, "--pdeathsig=QUIT"] if shutil.which("setpriv") else []
    process: subprocess.Popen[bytes] | None = None
    try:
        made = [
            "-D",
            str(data),
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ]
        subprocess.run([*as_user, str(found / "initdb"), *made], check=True, capture_output=True, cwd=folder)
        settings = {  # fsync and synchronous_commit are on, as they are where nothing is said
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "shared_buffers": "32MB",
            "logging_collector": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (folder / "log").open("wb")
        process = subprocess.Popen(
            [*dying, str(found / "postgres"), "-D", str(data), *options], cwd=folder, stdout=log, stderr=log
        )
        log.close()
        running = Server(folder, process)
        _wait(running)
        yield running
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(running: Server) -> None:
    import psycopg

    until = time.monotonic() + START_SECONDS
    while True:
        try:
            running.sql("SELECT 1")
        except psycopg.OperationalError:
            if running.process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for ending in (signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(ending)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
        return
