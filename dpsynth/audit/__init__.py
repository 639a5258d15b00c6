"""Audits: a synthesizer, run many times on worst-case fabricated data, against what it was charged.

Sees all rooms; nothing but the command line sees it. Everything here runs on data of its own making, which is free.
"""

from dpsynth.audit.mechanism import AuditReport, CaseReport, audit_synthesizer
from dpsynth.audit.subjects import Subject, Transcript
from dpsynth.audit.worlds import World, worst_cases

__all__ = [
    "AuditReport",
    "CaseReport",
    "Subject",
    "Transcript",
    "World",
    "audit_synthesizer",
    "worst_cases",
]
