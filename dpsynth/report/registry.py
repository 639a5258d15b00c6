"""An entry for the Differential Privacy Deployments Registry, from the signed facts of one release.

The structure (``url_slug`` and ``deployment`` with ``basic``, ``dp_variant``, ``privacy_loss``, ``deployment_model``,
``implementation`` and ``administrative``) is that of the registry's published schema. What the release can't know
(who publishes, for whom, why this epsilon) is left open: such a field holds ``OPEN:`` and says what goes there, and
the registry's own check refuses an entry in which a closed field is still open.

Source: OpenDP deployments-registry-data, schemas/deployments-schema.yaml; Nanayakkara, Ghazi, Vadhan 2025
(arXiv:2509.13509).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from accountant.adjacency import Adjacency
from accountant.budget import Budget
from accountant.errors import ParameterError
from accountant.events import BoundedRange, DiscreteGaussian, DiscreteLaplace, Event
from accountant.report import epsilon_of
from dpsynth.certificate import Dossier
from dpsynth.certificate.partly import unprotected_in_words

OPEN = "OPEN:"
"""What a field holds where the publisher has to write."""


def registry_entry(dossier: Dossier, *, budget: Budget) -> dict[str, Any]:
    """The entry of one released table.

    Args:
      dossier: The verified facts of the release.
      budget: The budget of its ledger.

    Returns:
      Values of YAML and JSON, in the registry's order.

    Raises:
      ParameterError: Nothing was released, or the run was a test that protects nobody.
    """
    if not (dossier.released and dossier.private):
        raise ParameterError(
            f"Release {dossier.release_id} has no entry in a registry.",
            "A registry lists data products, and this run published none that is private.",
            "Name a release whose gate passed; `dpsynth ledger show` lists them.",
        )
    return {
        "url_slug": _slug(dossier),
        "deployment": {
            "basic": _basic(dossier),
            "dp_variant": _variant(dossier),
            "privacy_loss": _loss(dossier, budget),
            "deployment_model": _model(dossier),
            "implementation": _implementation(dossier),
            "administrative": {
                "status": "Draft",
                "registry_authors": [f"{OPEN} who fills in this entry"],
                "tier": 3,
            },
        },
    }


def open_fields(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the publisher still has to write, as dotted paths."""
    return tuple(path for path, value in _leaves(entry, "") if isinstance(value, str) and OPEN in value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{i}")
    else:
        yield path, value


def _slug(dossier: Dossier) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", dossier.data.dataset_id.lower()).strip("-")
    return f"{plain or 'synthetic-data'}-{dossier.date}"


def _basic(dossier: Dossier) -> dict[str, Any]:
    table, dataset = dossier.data.table, dossier.data.dataset_id
    return {
        "name": f"Synthetic {table}" + ("" if table == dataset else f" ({dataset})"),
        "data_curators": [
            {
                "data_curator_name": f"{OPEN} who publishes the table",
                "data_curator_type": f"{OPEN} Government, Industry or Nonprofit",
            }
        ],
        "description": (
            f"A synthetic table of {dossier.synthesis.rows} rows with the columns of {table}, made by "
            f"{dossier.synthesis.synthesizer} from noisy measurements; release {dossier.release_id}."
        ),
        "intended_use": f"{OPEN} what readers should use the table for, and what not",
        "data_product_type": "Synthetic data",
        "data_product_region": f"{OPEN} the region that the data describe or whose law applies",
        "data_product_sector": f"{OPEN} Technology, Healthcare, Education, Government, Energy or Finance",
        "publication_date": dossier.date,
    }


def _variant(dossier: Dossier) -> dict[str, Any]:
    inputs = "; ".join(f"{fact.name}: {fact.value} ({fact.source})" for fact in dossier.data.public_inputs)
    return {
        "variant_name": "Approximate DP",
        "data_domain": (
            f"Every table with the declared columns of {dossier.data.table} (schema.json, SHA-256 "
            f"{dossier.data.schema_sha256}), whatever number of rows it has."
        ),
        "unprotected_quantities": f"{_not_protected(dossier)}Declared as public before the data was opened: {inputs}.",
    }


def _not_protected(dossier: Dossier) -> str:
    public = dossier.data.not_protected
    return f"{unprotected_in_words(public)} " if public else ""


_NOISY_COUNT = "a noisy count and is part of what was paid for"
_PUBLIC_COUNT = "public, and not protected"


def _loss(dossier: Dossier, budget: Budget) -> dict[str, Any]:
    claim, gate = dossier.claim, dossier.gate
    parameters: dict[str, float] = {"epsilon": claim.epsilon, "delta": claim.delta}
    reading = claim.reading.sentence(adjacency=Adjacency(dossier.data.adjacency))
    counted = _PUBLIC_COUNT if dossier.data.not_protected else _NOISY_COUNT
    curve = ", ".join(f"{epsilon:.4g} at {delta:g}" for delta, epsilon in claim.curve)
    return {
        "privacy_unit": dossier.data.unit,
        "privacy_unit_details": f"Adjacency: {dossier.data.adjacency}. {dossier.data.unit_bound}",
        "number_of_privacy_units": gate.training_people + gate.holdout_people,
        "privacy_parameters": parameters,
        "privacy_parameters_details": (
            f"{claim.notion}. The number of privacy units is {counted}. "
            f"The same release as epsilon at delta: {curve}. {_over_all(dossier, budget)} {reading}"
        ),
    }


def _over_all(dossier: Dossier, budget: Budget) -> str:
    whole = f"epsilon {budget.epsilon:g} at delta {budget.delta:g} over all releases"
    try:
        spent = epsilon_of(dossier.ledger.spent_after, budget.delta, budget.coordinate)
    except ParameterError:
        return f"The budget is {whole}."
    return f"The budget is {whole}, of which epsilon {spent:.4g} was spent after this one."


def _model(dossier: Dossier) -> dict[str, Any]:
    return {
        "model_name": "Central",
        "trust_assumptions": dossier.process.trust_model,
        "actors": f"{OPEN} who runs the release, who reads the table, and what they may know besides",
        "release_type": "One release",
        "release_type_details": f"{OPEN} whether the same people will be in later releases; the ledger counts them",
        "data_source_type": "Static",
        "access_type": "Non-interactive",
    }


def _implementation(dossier: Dossier) -> dict[str, Any]:
    made, process, claim = dossier.synthesis, dossier.process, dossier.claim
    versions = ", ".join(f"{fact.name} {fact.value}" for fact in process.software)
    tuned = f"{OPEN} how the schema and the settings were chosen, and whether the data was looked at for it"
    return {
        "preprocessing_and_hyperparameter_tuning": _bullets((*made.preprocessing, tuned)),
        "mechanisms": _bullets(
            (
                *_mechanisms(dossier),
                f"Software: {versions}.",
                f"Random bits: {process.random_source}. Noise: {process.sampler}.",
                f"A gate of {len(dossier.gate.attacks)} attacks tested the table before release; its verdict is paid "
                "for like every other output.",
            )
        ),
        "composition": f"{claim.theorem}. Accountant: {claim.accountant}.",
        "post_processing": _bullets(made.post_processing),
        "justification": f"{OPEN} why this epsilon, this delta and this unit, and who agreed",
        "utility": _bullets(
            f"{' x '.join(m.attributes)}: {m.cells} cells, noise of standard deviation {m.sigma:.3g} records each"
            for m in made.marginals
        ),
        "additional_information": _bullets(
            (
                f"Not covered by the claim: {' '.join(process.not_covered)}",
                f"Verify with the publisher's public key: certificate.json, ledger head {dossier.ledger.head}.",
            )
        ),
    }


def _mechanisms(dossier: Dossier) -> list[str]:
    counts: Counter[str] = Counter(_mechanism(step.event) for step in dossier.steps)
    return [f"{name}, {uses} use{'s' if uses > 1 else ''}" for name, uses in counts.items()]


def _mechanism(event: Event) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event).__name__)
    return words + _MANNERS.get(type(event), "")


_MANNERS: dict[type[Event], str] = {
    DiscreteGaussian: " noise on integers",
    DiscreteLaplace: " noise on integers",
    BoundedRange: " selection (exponential mechanism with coefficient 1/2)",
}


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
