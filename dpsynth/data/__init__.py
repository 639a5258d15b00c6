"""The embedded data set: UCI Adult, 48,842 public records, with a schema declared from its codebook."""

from pathlib import Path

__all__ = ["embedded_adult"]


def embedded_adult() -> tuple[Path, Path]:
    """Paths of the embedded table (Parquet) and of its schema (YAML).

    Reference: Becker and Kohavi 1996, UCI Machine Learning Repository, doi 10.24432/C5XW20 (CC BY 4.0).
    """
    folder = Path(__file__).parent
    return folder / "adult.parquet", folder / "adult.schema.yaml"
