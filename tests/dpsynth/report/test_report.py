"""The report: offline, inert whatever names it shows, the same bytes every time."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from accountant import Coordinate
from dpsynth.certificate import Artefact, Dossier
from dpsynth.certificate.dossier import Fact, Marginal
from dpsynth.report import render_report
from dpsynth.report.words import ceiling, number, percent
from tests.dpsynth.certificate.dossiers import some_dossier

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>body{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "=HYPERLINK(1)",
    "\u202egnp.exe",
    "שלום עולם",
    "😀 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a\x00b\nc",
    "lone \ud800 surrogate",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "--><!--",
]


class Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(page: bytes) -> Reader:
    """The page, parsed."""
    reader = Reader()
    reader.feed(page.decode("utf-8"))
    return reader


def hostile(dossier: Dossier, name: str) -> Dossier:
    """The dossier with ``name`` wherever others choose a text."""
    fact = (Fact(name=name, value=name, source=name),)
    return replace(
        dossier,
        data=replace(dossier.data, table=name, dataset_id=name, public_inputs=fact, unit_bound=name),
        synthesis=replace(
            dossier.synthesis,
            marginals=(Marginal(attributes=(name, name), cells=4, sigma=1.0),),
            config=fact,
            preprocessing=(name,),
            synthesizer=name,
        ),
        gate=replace(dossier.gate, attacks=(name,), policy=name, notes=(name,)),
        process=replace(dossier.process, not_covered=(name,), software=fact, approvals=(name,)),
        steps=tuple(replace(step, label=name) for step in dossier.steps),
        artefacts=(Artefact(name=name, sha256="0" * 64),),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert(name: str) -> None:
    plain, page = read(render_report(hostile(some_dossier(), "x"))), read(render_report(hostile(some_dossier(), name)))
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes


@pytest.mark.parametrize("name", [n for n in HOSTILE if n.isprintable()])
def test_names_are_shown_as_they_are(name: str) -> None:
    shown = read(render_report(hostile(some_dossier(), name))).words
    assert shown.count(name) >= 10


def test_names_cannot_reorder_the_page() -> None:
    page = render_report(hostile(some_dossier(), "\u202egnp.exe")).decode()
    assert page.count("\u202e") == page.count("<bdi>\u202egnp.exe</bdi>") + page.count("<title>SYNTHETIC · \u202e")


@pytest.mark.parametrize("verdict", ["pass", "fail", "undecidable", "refuted"])
@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_the_page_is_offline_and_runs_nothing(verdict: str, coordinate: Coordinate) -> None:
    dossier = some_dossier(verdict=verdict, coordinate=coordinate)
    page = read(render_report(dossier))
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "svg", "a", "base"} & set(page.tags)
    assert not [n for n, _ in page.attributes if n.startswith("on") or n in {"src", "href", "srcset", "action"}]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert verdict.upper() in page.words
    page_bytes = render_report(dossier)
    assert b"url(" not in page_bytes
    assert b"@import" not in page_bytes
    assert len(page_bytes) < 40_000


def test_the_same_dossier_gives_the_same_bytes() -> None:
    assert render_report(some_dossier()) == render_report(some_dossier())


def test_a_failed_release_says_that_there_is_no_table() -> None:
    assert "No table." in " ".join(read(render_report(some_dossier(verdict="fail"))).words)


def test_a_seeded_run_says_not_private() -> None:
    assert b"NOT PRIVATE" not in render_report(some_dossier())
    assert b"NOT PRIVATE" in render_report(replace(some_dossier(), private=False))


def test_the_numbers_of_the_claim_are_shown() -> None:
    dossier = some_dossier()
    words = " ".join(read(render_report(dossier)).words)
    for value in (ceiling(dossier.claim.epsilon), number(dossier.claim.mu), percent(dossier.gate.smallest_leak)):
        assert value in words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (None, "–"),
        (1e-6, "10⁻⁶"),
        (2.5e-9, "2.5 × 10⁻⁹"),
        (0.834119, "0.834"),
        (12.0, "12.0"),
        (39074.0, "39,074"),
        (9.9999e-7, "10⁻⁶"),
        (1e9, "10⁹"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.834119, "0.835"), (1.0, "1.00"), (0.99999, "1.00"), (12.31, "12.4")])
def test_an_epsilon_never_looks_smaller_than_it_is(value: float, text: str) -> None:
    assert ceiling(value) == text
