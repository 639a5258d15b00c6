"""The golden table of the documents says what the code's own table says."""

from pathlib import Path

from accountant.compose import price, total
from accountant.convert import epsilon_from_mu, epsilon_from_rho
from accountant.pld import profile
from accountant.price import AMOUNT_UNIT, Coordinate
from benchmarks.accountant_golden import _textbook
from benchmarks.accountant_plans import DELTA, DP_SGD, MIXED, WITHIN

TEXT = (Path(__file__).parents[2] / "docs" / "accountant.md").read_text(encoding="utf-8")


def rows() -> dict[str, tuple[str, str]]:
    table = TEXT.split("<!-- golden table")[1].split("<!-- end of the golden table")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    return {name: (value, ours) for name, value, ours, _ in cells[2:]}


def test_every_row_of_dp_sgd_is_in_the_table_with_its_value() -> None:
    assert {row.name: row.value for row in DP_SGD}.items() <= {name: v for name, (v, _) in rows().items()}.items()


def test_what_the_table_says_is_what_the_code_answers() -> None:
    amounts = {c: total(price(event, c) for event in MIXED).amount / AMOUNT_UNIT for c in Coordinate}
    found = [
        profile(MIXED).epsilon(DELTA),
        epsilon_from_mu(amounts[Coordinate.GDP] ** 0.5, DELTA),
        epsilon_from_rho(amounts[Coordinate.ZCDP], DELTA),
        _textbook(amounts[Coordinate.ZCDP]),
    ]
    stated = [ours for name, (_, ours) in rows().items() if not name.startswith("DP-SGD")]
    assert stated == [f"{value:.5f}" for value in found]
    first = DP_SGD[0]
    assert rows()[first.name][1] == f"{profile(first.events).epsilon(DELTA):.5f}"


def test_every_answer_of_the_table_is_within_a_thousandth_of_its_value() -> None:
    for name, (value, ours) in rows().items():
        assert abs(float(ours) / float(value) - 1.0) <= WITHIN, name
