"""The confidential annex: exact figures for the operator, in a folder of its own, which never leaves.

Nothing public can reach this module: the public writer, the dossier and the report can't import it (an import
contract). Everything written here is outside the privacy claim.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from dpsynth.certificate.files import write_new
from dpsynth.certificate.writer import open_staging, publish
from dpsynth.errors import OutputError

WARNING = """CONFIDENTIAL

This folder holds exact figures computed from real records and the key of the commitment to the data.
It isn't part of the release. Publishing, sharing or quoting any of it breaks the privacy claim of the release.
Nothing in it may decide which release is published.
"""


def write_annex(folder: Path, *, release_id: str, commitment_key: bytes, records: Mapping[str, object]) -> Path:
    """Write ``CONFIDENTIAL.txt`` and ``annex.json`` (mode 0600) into a new folder of mode 0700, whole or not at all.

    Args:
      folder: A folder that doesn't exist yet, outside the release's own.
      release_id: The release that it belongs to.
      commitment_key: The key of the commitment to the data.
      records: Exact figures of real records by name, as JSON values; private.

    Returns:
      The folder.

    Raises:
      OutputError: The folder exists, lies inside a release, or the disk refused.
    """
    folder = folder.absolute()
    if any((parent / "certificate.json").exists() for parent in folder.parents):
        raise OutputError(
            "The annex can't lie inside a release.",
            "A release folder is published; the annex is confidential.",
            "Choose another folder for the annex.",
        )
    body = {"commitment_key": commitment_key.hex(), "figures": dict(records), "release_id": release_id}
    text = json.dumps(body, sort_keys=True, indent=2).encode("ascii")
    with open_staging(folder) as staging:
        staging.folder.chmod(0o700)
        write_new(staging.folder, "CONFIDENTIAL.txt", WARNING.encode("ascii"), mode=0o600)
        write_new(staging.folder, "annex.json", text, mode=0o600)
        return publish(staging)
