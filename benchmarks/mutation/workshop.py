"""The process that runs tests over mutants: everything slow is imported once, and each mutant has a forked child.

``python -m benchmarks.mutation.workshop JOB`` where JOB is a JSON file, see :func:`main`. Each worker has its own copy
of the repository, whose tests it collects once; a child gets the mutant's code put into the functions that were
imported, and runs the chosen tests up to the first failure. A mutant of what is executed at import
runs in a child that imports everything anew.
"""

import functools
import gc
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings

PRELOADED = (
    *("numpy", "scipy.special", "scipy.stats", "scipy.optimize", "scipy.sparse", "pandas", "pyarrow.parquet", "numba"),
    *("hypothesis.extra.numpy", "mpmath", "yaml", "typer", "rich.console", "jinja2", "pydantic", "sqlite3"),
    *("cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers"),
    *("dp_accounting", "dp_accounting.pld.privacy_loss_distribution", "importlib.resources", "statistics"),
)
"""What the tests and rooms import from elsewhere; nothing of the repository."""
LOG = "pytest.log"
"""What pytest printed last, in each copy."""
COPIED = ("accountant", "dpsynth", "tests", "pyproject.toml")
OPTIONS = (
    *("-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
MEMORY = 3 << 30
"""Most memory of a child, in bytes: a mutant may try to fill the machine."""
SLACK_SECONDS, FACTOR, PATIENCE = 4.0, 8.0, 4.0
"""A test may take FACTOR times its CPU seconds without a mutant and SLACK_SECONDS; PATIENCE times that by the clock."""
ENDS = {signal.SIGPROF: "timed out", signal.SIGALRM: "timed out"}


class Session:
    """A pytest plugin: hands the collected tests to ``loop`` instead of running them, and remembers a failure."""

    def __init__(self, loop: Callable[["Session", dict[str, pytest.Item]], None]) -> None:
        self._loop = loop
        self.failed = self.skipped = False

    def pytest_configure(self) -> None:
        settings.register_profile("mutation", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return True
        self._loop(self, {item.nodeid: item for item in session.items})
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed
        self.skipped |= report.skipped

    def run(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Run one test; whether it passed or was skipped."""
        self.failed = self.skipped = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self.failed


def open_pytest(copy: Path, targets: Sequence[str], loop: Callable[[Session, dict[str, pytest.Item]], None]) -> None:
    """Collect ``targets`` in a copy of the repository and hand them to ``loop``."""
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    with (copy / LOG).open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    pytest.main([*OPTIONS, f"--basetemp={copy / 'tmp'}", f"--rootdir={copy}", *targets], plugins=[Session(loop)])


def copied(root: Path, copy: Path) -> Path:
    """A copy of what the tests need, without compiled files."""
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(root / name, copy / name)
    return copy


def baseline(job: dict[str, Any]) -> None:
    """Run every test without a mutant: its seconds, its lines, whether it starts processes."""
    import coverage

    copy = Path(job["copies"][0])
    watched = coverage.Coverage(data_file=None, source=[str(copy / "accountant"), str(copy / "dpsynth")])

    def loop(session: Session, items: dict[str, pytest.Item]) -> None:
        tests, caches = [], _caches()
        for nodeid, item in items.items():
            for cache in caches:
                cache.cache_clear()
            watched.switch_context(nodeid)
            began, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
            passed = session.run(item, None)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = time.process_time() - began + after.ru_utime + after.ru_stime - children.ru_utime
            seconds -= children.ru_stime
            forks = after.ru_minflt > children.ru_minflt
            if not session.skipped:
                tests.append({"id": nodeid, "seconds": seconds, "passed": passed, "forks": forks})
        watched.stop()
        data = watched.get_data()
        lines = {
            str(Path(file).relative_to(copy)): {n: sorted(c) for n, c in data.contexts_by_lineno(file).items()}
            for file in data.measured_files()
        }
        Path(job["out"]).write_text(json.dumps({"tests": tests, "lines": lines}))

    watched.start()
    open_pytest(copy, job["targets"], loop)


def _caches() -> list[Any]:
    """What functions of the repository remember: emptied before each test, so that each shows the lines it needs."""
    rooms = ("accountant", "dpsynth", "tests")
    found = [each for each in gc.get_objects() if type(each) is functools._lru_cache_wrapper]
    return [each for each in found if str(each.__module__).split(".")[0] in rooms]


def work(job: dict[str, Any], copy: Path, queue: int) -> None:
    """Take mutants from ``queue`` until it is empty or the time is over.

    Tests that killed others of the same file, and cheaply, go first; which tests run is fixed, whatever their order.
    """
    ours, theirs = Pipe()
    server = os.fork()
    if server == 0:
        ours.close()
        _begin_child()
        open_pytest(copy, job["targets"], lambda session, items: _serve(session, items, theirs, copy))
        os._exit(0)
    theirs.close()
    ours.recv()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    kills: Counter[tuple[str, str]] = Counter()
    while (taken := os.read(queue, 4)) and time.time() < job["until"]:
        number = int.from_bytes(taken, "little")
        task = job["tasks"][number]
        task["tests"].sort(key=lambda test, task=task: -kills[task["file"], test["id"]] / (test["seconds"] + 0.05))
        began = time.monotonic()
        path = copy / task["file"]
        content = path.read_bytes()
        path.write_bytes(task["content"].encode())
        os.utime(path, (number + 1, number + 1))
        try:
            end = _ask(ours, task) if task["warm"] else {"end": "anew"}
            if end["end"] == "anew":
                end = _in_child(lambda out, task=task: _fresh(task, copy, out))
        finally:
            path.write_bytes(content)
        kills[task["file"], end["by"]] += 1
        row = {"number": number, **end, "seconds": round(time.monotonic() - began, 2)}
        with Path(job["out"]).open("a") as file:
            file.write(json.dumps(row) + "\n")
    ours.close()
    os.waitpid(server, 0)


def _ask(server: Connection, task: dict[str, Any]) -> dict[str, Any]:
    server.send(task)
    answer: dict[str, Any] = server.recv()
    return answer


def _begin_child() -> None:
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)


def _serve(session: Session, items: dict[str, pytest.Item], master: Connection, copy: Path) -> None:
    """The warm process of a worker: forks a child for each mutant that only changes functions."""
    functions: dict[tuple[str, str, int], list[FunctionType]] = {}
    for found in gc.get_objects():
        if type(found) is FunctionType and found.__code__.co_filename.startswith(str(copy)):
            code = found.__code__
            functions.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(found)
    gc.collect()
    gc.freeze()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    master.send("ready")
    with suppress(EOFError):
        while True:
            task = master.recv()
            master.send(_in_child(lambda out, task=task: _warm(task, session, items, functions, copy, out)))


def _in_child(run: Callable[[int], None]) -> dict[str, Any]:
    """What a forked child says last, or how it died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        _begin_child()
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        try:
            run(writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = [json.loads(line) for line in said]
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    last: dict[str, Any] = lines[-1] if lines else {"by": "import"}
    if os.WIFSIGNALED(status):
        return {"end": ENDS.get(signal.Signals(os.WTERMSIG(status)), "killed"), "by": last["by"]}
    return last if "end" in last else {"end": "killed", "by": last["by"]}


def _say(out: int, **words: Any) -> None:
    os.write(out, (json.dumps(words) + "\n").encode())


def _limit(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)


def _warm(
    task: dict[str, Any],
    session: Session,
    items: dict[str, pytest.Item],
    functions: dict[tuple[str, str, int], list[FunctionType]],
    copy: Path,
    out: int,
) -> None:
    path = str(copy / task["file"])
    pairs = list(_changed_functions(compile(task["before"], path, "exec"), compile(task["content"], path, "exec")))
    counted = [(path, old.co_qualname, old.co_firstlineno) for old, _ in pairs]
    try:
        for key, (_, new) in zip(counted, pairs, strict=True):
            if counted.count(key) > 1:
                raise ValueError("two functions of one name on one line")
            for function in functions.get(key, ()):
                function.__code__ = new
    except ValueError:  # other free variables, or no way to tell which function it is
        _say(out, end="anew")
        return
    _run(session, task["tests"], items, out)


def _changed_functions(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]]:
    """Functions at the level of module and classes whose code differs."""
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    found = []
    for before, after in zip(*inner, strict=True):
        if before == after:
            continue
        optimised = before.co_flags & 1
        found += [(before, after)] if optimised else _changed_functions(before, after)
    return found


def _fresh(task: dict[str, Any], copy: Path, out: int) -> None:
    _limit(60.0)
    _say(out, by="import")
    files = sorted({test["id"].split("::")[0] for test in task["tests"]})
    open_pytest(copy, files, lambda session, items: _run(session, task["tests"], items, out))


def _run(session: Session, tests: Sequence[dict[str, Any]], items: dict[str, pytest.Item], out: int) -> None:
    """Run the tests in this order, up to the first failure. Parameters may have other names in a mutant."""
    chosen = [(items[t["id"]], t) for t in tests if t["id"] in items]
    known, lost = {t["id"] for t in tests}, {t["id"].split("[")[0]: t for t in tests if t["id"] not in items}
    chosen += [(item, lost[i.split("[")[0]]) for i, item in items.items() if i not in known and i.split("[")[0] in lost]
    following = [item for item, _ in chosen[1:]] + [None]
    for (item, test), after in zip(chosen, following, strict=True):
        _say(out, by=item.nodeid)
        _limit(SLACK_SECONDS + FACTOR * test["seconds"])
        if not session.run(item, after):
            _say(out, end="killed", by=item.nodeid)
            return
    _say(out, end="survived", by="")


def main() -> None:
    """Do the job in the JSON file named: ``baseline`` where it has no tasks, otherwise its tasks.

    A job: ``root``, ``copies`` (a folder per worker, not made yet), ``targets`` (what pytest collects), ``out`` (file
    for the answers), ``until`` (clock), ``tasks`` (``file``, ``before``, ``content``, ``warm``, ``tests``).
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    for name in PRELOADED:
        with suppress(ImportError):
            import_module(name)
    for copy in job["copies"]:
        Path(copy).mkdir()
        copied(Path(job["root"]), Path(copy))
    sys.path[:] = [p for p in sys.path if p not in ("", job["root"])]
    if "tasks" not in job:
        baseline(job)
        return
    queue, fill = os.pipe()
    for number in range(len(job["tasks"])):
        os.write(fill, number.to_bytes(4, "little"))
    os.close(fill)
    children = []
    for copy in job["copies"]:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(job, Path(copy), queue)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    sys.exit(any(os.waitpid(child, 0)[1] for child in children))


if __name__ == "__main__":
    main()
