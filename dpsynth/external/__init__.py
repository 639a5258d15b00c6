"""A bridge to any other synthesizer: a command with a claimed guarantee, charged as such and run on training rows."""

from dpsynth.external.bridge import ExternalFailed, find_program, run_external
from dpsynth.external.config import ExternalConfig, load_external_config, require_matching_claim

__all__ = [
    "ExternalConfig",
    "ExternalFailed",
    "find_program",
    "load_external_config",
    "require_matching_claim",
    "run_external",
]
