"""Every named mutant, by room. ``benchmarks/line_mutants.py`` applies them one by one."""

from tests.mutants import (
    accountant,
    audit,
    data,
    deep,
    engine,
    gate,
    ledger,
    mechanisms,
    noise,
    partial,
    people,
    planning,
    publication,
    samples,
    tables,
)

MUTANTS = (
    *noise.MUTANTS,
    *accountant.MUTANTS,
    *ledger.MUTANTS,
    *planning.MUTANTS,
    *gate.MUTANTS,
    *data.MUTANTS,
    *engine.MUTANTS,
    *mechanisms.MUTANTS,
    *publication.MUTANTS,
    *deep.MUTANTS,
    *audit.MUTANTS,
    *tables.MUTANTS,
    *samples.MUTANTS,
    *partial.MUTANTS,
    *people.MUTANTS,
)
