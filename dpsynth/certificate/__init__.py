"""The signed record of a release, and its offline verification. Loads no record engine."""

from dpsynth.certificate.commitment import commit
from dpsynth.certificate.dossier import Artefact, Dossier
from dpsynth.certificate.envelope import Statement, open_envelope, sign
from dpsynth.certificate.errors import VerificationFailed
from dpsynth.certificate.files import table_name
from dpsynth.certificate.verify import VerifiedRelease, verify_release
from dpsynth.certificate.writer import Staging, copy_release, open_staging, publish, stage

__all__ = [
    "Artefact",
    "Dossier",
    "Staging",
    "Statement",
    "VerificationFailed",
    "VerifiedRelease",
    "commit",
    "copy_release",
    "open_envelope",
    "open_staging",
    "publish",
    "sign",
    "stage",
    "table_name",
    "verify_release",
]
