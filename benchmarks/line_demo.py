"""The demo in a fresh clone, the help's start-up time, and tampering with a release."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT, Figure, at_most, holds, run

OFFSETS = 1_000
HELP_RUNS = 5


def demo() -> Iterator[Figure]:
    """``make demo`` in a fresh clone: installed first, then measured, with nothing compiled or cached yet."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        fresh = {"NUMBA_CACHE_DIR": str(Path(folder) / "numba"), "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        installed = run(["make", ".venv/.dpsynth-run"], cwd=clone, environment=fresh)
        done = run(["make", "demo"], cwd=clone, environment=fresh)
        detail = {
            "install_wall_seconds": installed.wall_seconds,
            "wall_seconds": done.wall_seconds,
            "cpu_seconds": done.cpu_seconds,
            "peak_mb": done.peak_mb,
        }
        released = done.code == 0 and "PASS" in done.output
        code = f"exit code {done.code}"
        yield holds("fresh clone: make demo releases Adult at epsilon 1, delta 1e-6", released, code, "0", **detail)
        yield at_most("make demo after installation, first run", done.wall_seconds, 60, "s wall", **detail)
        yield at_most("the same", done.cpu_seconds, 25, "CPU s", **detail)
        yield at_most("the same: peak memory", done.peak_mb, 600, "MB", **detail)
        release, key = clone / "demo-release", clone / "demo-release-ledger" / "keys" / "signing.pub"
        verify = run([str(clone / ".venv/bin/dpsynth"), "verify", str(release), "--key", str(key)], cwd=clone)
        yield holds("then dpsynth verify", verify.code == 0, f"exit code {verify.code}", "0", cpu=verify.cpu_seconds)


def help_time() -> Iterator[Figure]:
    """``dpsynth --help``, the median of several runs."""
    command = [str(Path(sys.executable).parent / "dpsynth"), "--help"]
    cpu = sorted(run(command).cpu_seconds for _ in range(HELP_RUNS))
    yield at_most("dpsynth --help, median", cpu[HELP_RUNS // 2], 0.3, "CPU s", cpu_seconds=cpu)


def tampering() -> Iterator[Figure]:
    """Every byte of every JSON, 1,000 offsets of the table, and a wholly re-signed folder must fail to verify."""
    from dpsynth.certificate.errors import VerificationFailed
    from dpsynth.certificate.verify import verify_release

    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as place:
        folder, pem = _release(Path(place))
        rng = np.random.default_rng(0)

        def accepted(path: Path, offsets: "np.ndarray") -> int:
            missed = 0
            with path.open("r+b") as handle:
                for offset in offsets.tolist():
                    handle.seek(offset)
                    byte = handle.read(1)[0]
                    _put(handle, offset, byte ^ int(rng.integers(1, 256)))
                    try:
                        verify_release(folder, pem)
                        missed += 1
                    except VerificationFailed:
                        pass
                    _put(handle, offset, byte)
            return missed

        for path in sorted(folder.glob("*.json")):
            size = path.stat().st_size
            missed = accepted(path, np.arange(size))
            yield holds(
                f"verify fails after any flipped byte of {path.name}", missed == 0, f"{missed} of {size} accepted", "0"
            )
        (table,) = folder.glob("SYNTHETIC-*")
        offsets = rng.integers(0, table.stat().st_size, OFFSETS)
        missed = accepted(table, offsets)
        yield holds("verify fails after 1,000 flipped bytes of the table, one by one", missed == 0, f"{missed}", "0")
        verify_release(folder, pem)
        yield _resigned(folder, pem)


def _put(handle: "object", offset: int, byte: int) -> None:
    handle.seek(offset)  # type: ignore[attr-defined]
    handle.write(bytes([byte]))  # type: ignore[attr-defined]
    handle.flush()  # type: ignore[attr-defined]


def _release(place: Path) -> tuple[Path, bytes]:
    dpsynth = [sys.executable, "-m", "dpsynth"]
    done = run([*dpsynth, "demo", "--out", str(place / "release"), "--json"])
    assert done.code == 0, done.output
    return place / "release", (place / "release-ledger" / "keys" / "signing.pub").read_bytes()


def _resigned(folder: Path, pem: bytes) -> Figure:
    """Somebody else signs the same facts with a key of their own; the pinned key must not accept it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from dpsynth.certificate.envelope import open_envelope, sign
    from dpsynth.certificate.errors import VerificationFailed
    from dpsynth.certificate.verify import verify_release

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other = folder.parent / "resigned"
    shutil.copytree(folder, other)
    signed = open_envelope((folder / "certificate.json").read_bytes(), public_key_pem=pem)
    (other / "certificate.json").write_bytes(sign(signed.dossier, signed.subjects, private_key_pem=private))
    verify_release(other, public)  # whole and well signed, by somebody else
    try:
        verify_release(other, pem)
        refused = False
    except VerificationFailed:
        refused = True
    return holds("verify fails for a wholly re-signed folder", refused, "refused" if refused else "accepted", "refused")


if __name__ == "__main__":
    for section in (demo, help_time, tampering):
        for figure in section():
            print(figure.line())
            print(json.dumps(figure.detail))
