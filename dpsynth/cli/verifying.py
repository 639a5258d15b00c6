"""The command on what came out: verify a release folder."""

from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.console import Output
from dpsynth.cli.options import AsJson, ReleaseFolder

__all__ = ["verify"]


def verify(
    folder: ReleaseFolder,
    key: Annotated[
        Path,
        typer.Option(
            "--key",
            "-k",
            metavar="PUB",
            help="The publisher's public key, from a place you trust: never from the folder itself.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Verify a release folder, without the data.

    Signature, hashes, the ledger's chain, and epsilon recomputed from the events.

    Example: `dpsynth verify out --key people-ledger/keys/signing.pub`
    """
    from dpsynth.certificate.verify import verify_release

    verified = verify_release(folder, read_key(key))
    facts = {
        "verified": True,
        "verdict": str(verified.dossier.gate.verdict),
        "table": verified.table,
        "checks": [{"name": check.name, "detail": check.detail} for check in verified.checks],
    }
    lines = [*(f"  {line}" for line in verified.lines()), f"VERIFIED: {folder} is as it was signed."]
    Output(as_json=as_json).result(facts, lines)


def read_key(path: Path) -> bytes:
    """The bytes of a public key file; raises ParameterError where there is none."""
    from dpsynth.errors import ParameterError

    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ParameterError(
            f"The public key {path} can't be read.",
            "There is no such file.",
            "Ask the publisher for signing.pub, over a channel that you trust.",
        ) from None
