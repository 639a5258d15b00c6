"""One offline HTML file for people, from the dossier alone: no script, nothing loaded, the same bytes every time."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from accountant.price import AMOUNT_UNIT, DELTA_UNIT, Price
from dpsynth.certificate.dossier import NOTHING, Dossier
from dpsynth.fit_report import CONFIDENCE
from dpsynth.report.words import (
    SIDES,
    VERDICT_WORDS,
    ceiling,
    event_words,
    grouped,
    number,
    percent,
    preserved,
    sentence,
    wrapped,
)


def render_report(dossier: Dossier) -> bytes:
    """The report of a release as one HTML file, UTF-8.

    Args:
      dossier: Its public facts; every text in it is escaped, whatever it holds.

    Returns:
      The bytes of ``report.html``; a function of ``dossier`` alone.
    """
    verdict = VERDICT_WORDS[dossier.gate.verdict]
    compared = any(share.reference != NOTHING for share in dossier.plan.shares)
    text = _template().render(d=dossier, verdict=verdict, sides=SIDES, compared=compared, confidence=CONFIDENCE)
    return (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("dpsynth.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {
        "number": number,
        "percent": percent,
        "ceiling": ceiling,
        "amount": _amount,
        "delta": _delta,
        "fraction": _fraction,
        "event": event_words,
        "grouped": grouped,
        "preserved": preserved,
        "wrapped": wrapped,
        "sentence": sentence,
    }
    environment.filters.update(filters)
    return environment.get_template("report.html")


def _amount(price: Price) -> str:
    return number(price.amount / AMOUNT_UNIT)


def _delta(price: Price) -> str:
    return number(price.delta / DELTA_UNIT)


def _fraction(part: Price, whole: Price) -> str:
    return percent(min(1.0, part.amount / whole.amount)) if whole.amount else "0 %"
