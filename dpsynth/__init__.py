"""dpsynth: differentially private synthetic tables, accounted, attacked, gated and signed.

Five lines: ``Ledger.create``, ``load_schema``, ``release``. Names load on first use, so importing this is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accountant.budget import Budget
    from accountant.ledger import Ledger
    from dpsynth.certificate.verify import verify_release
    from dpsynth.fit_report import FitReport
    from dpsynth.fitting import FittedModel, fit, load_model
    from dpsynth.line import ReleaseResult, release
    from dpsynth.schema import load_schema
    from dpsynth.workload import Workload

__all__ = [
    "Budget",
    "FitReport",
    "FittedModel",
    "Ledger",
    "ReleaseResult",
    "Workload",
    "fit",
    "load_model",
    "load_schema",
    "release",
    "verify_release",
]

_HOMES = {
    "Budget": "accountant.budget",
    "FitReport": "dpsynth.fit_report",
    "FittedModel": "dpsynth.fitting",
    "Ledger": "accountant.ledger",
    "ReleaseResult": "dpsynth.line",
    "Workload": "dpsynth.workload",
    "fit": "dpsynth.fitting",
    "load_model": "dpsynth.fitting",
    "load_schema": "dpsynth.schema",
    "release": "dpsynth.line",
    "verify_release": "dpsynth.certificate.verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
