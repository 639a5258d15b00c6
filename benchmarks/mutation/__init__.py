"""A generic mutation run over the rooms whose errors would be wrong privacy claims.

``python -m benchmarks.mutation [--sample N] [--seed S] [--all]``. Every mutant that no test notices must be
explained in ``benchmarks/mutation_survivors.yaml``. For code: :func:`benchmarks.mutation.run.measure`.
"""
