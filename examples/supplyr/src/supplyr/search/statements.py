"""SQL for questions, in both dialects. Pure: a question in, a statement and its parameters out."""

from typing import Any, NamedTuple

from supplyr.db.database import Dialect
from supplyr.search.cursor import Cursor
from supplyr.search.question import Near, Question, Sort, Term, fts5, tsquery
from supplyr.sphere import box_around, on_sphere, squared_chord

# bm25 weights of name, products, codes, place, description; ts_rank takes them from D to A.
_BM25 = "bm25(search_documents, 10.0, 3.0, 4.0, 2.0, 1.0)"
_TS_RANK = "-CAST(ts_rank('{0.1, 0.2, 0.4, 1.0}', d.words, q.asked, 1) AS DOUBLE PRECISION)"

# The squared chord between a supplier and a place.
_SQUARED = (
    "((s.sphere_x - ?) * (s.sphere_x - ?) + (s.sphere_y - ?) * (s.sphere_y - ?)"
    " + (s.sphere_z - ?) * (s.sphere_z - ?))"
)

# Sort -> (the key, whether the largest comes first).
_KEYS: dict[Sort, tuple[str, bool]] = {
    "ranking": ("s.ranking_score", True),
    "name": ("s.name_folded", False),
    "newest": ("s.updated_at_s", True),
    "distance": (_SQUARED, False),
}


class Statement(NamedTuple):
    """SQL with its parameters in order."""

    sql: str
    parameters: tuple[Any, ...]


class _Matching(NamedTuple):
    """FROM and WHERE of what a question finds."""

    source: str
    conditions: list[str]
    before: list[Any]
    parameters: list[Any]


def _matching(dialect: Dialect, question: Question, terms: tuple[Term, ...]) -> _Matching:
    source, before = "suppliers s", []
    conditions: list[str] = ["s.status = 'active'"]
    parameters: list[Any] = []
    if terms and dialect == "sqlite":
        # CROSS JOIN keeps the order: the index of words first, whatever else there is.
        source = "search_documents CROSS JOIN suppliers s ON s.id = search_documents.rowid"
        conditions.append("search_documents MATCH ?")
        parameters.append(fts5(terms))
    elif terms:
        source = (
            "(SELECT to_tsquery('simple', ?) AS asked) q"
            " JOIN search_documents d ON d.words @@ q.asked"
            " JOIN suppliers s ON s.id = d.supplier_id"
        )
        before = [tsquery(terms)]
    for column, value in (("country", question.country), ("region", question.region)):
        if value:
            conditions.append(f"s.{column} = ?")
            parameters.append(value)
    if question.code:
        conditions.append(
            "EXISTS (SELECT 1 FROM supplier_codes c WHERE c.supplier_id = s.id"
            " AND c.code >= ? AND c.code < ?)"
        )
        parameters += [question.code, question.code + "~"]
    if question.certificate:
        conditions.append(
            "EXISTS (SELECT 1 FROM supplier_certificates z WHERE z.supplier_id = s.id"
            " AND z.certificate = ?)"
        )
        parameters.append(question.certificate)
    if question.near is not None:
        _add_near(question.near, conditions, parameters)
    return _Matching(source, conditions, before, parameters)


def _add_near(near: Near, conditions: list[str], parameters: list[Any]) -> None:
    box = box_around(near.latitude_deg, near.longitude_deg, near.radius_km)
    conditions.append("s.latitude_deg BETWEEN ? AND ?")
    parameters += [box.south_deg, box.north_deg]
    if box.west_deg <= box.east_deg:
        conditions.append("s.longitude_deg BETWEEN ? AND ?")
    else:
        conditions.append("(s.longitude_deg >= ? OR s.longitude_deg <= ?)")
    parameters += [box.west_deg, box.east_deg]
    conditions.append(f"{_SQUARED} <= ?")
    parameters += [*_sphere(near), squared_chord(near.radius_km)]


def _sphere(near: Near) -> list[float]:
    """Return the parameters of _SQUARED."""
    x, y, z = on_sphere(near.latitude_deg, near.longitude_deg)
    return [x, x, y, y, z, z]


def page(
    dialect: Dialect,
    question: Question,
    terms: tuple[Term, ...],
    after: Cursor | None,
    limit: int,
) -> Statement:
    """Return the statement for a page: rows of `id`, `sort_key` and `squared` (of the chord)."""
    matching = _matching(dialect, question, terms)
    squared = "CAST(NULL AS DOUBLE PRECISION)" if question.near is None else _SQUARED
    sphere = [] if question.near is None else _sphere(question.near)
    if question.order == "relevance":
        key, falls = (_BM25 if dialect == "sqlite" else _TS_RANK), False
    else:
        key, falls = _KEYS[question.order]
    direction, sign = ("DESC", "<") if falls else ("ASC", ">")
    inner = (
        f"SELECT s.id AS id, {key} AS sort_key, {squared} AS squared"  # noqa: S608 - constants
        f" FROM {matching.source} WHERE {' AND '.join(matching.conditions)}"
    )
    parameters = [*(sphere if key == _SQUARED else ()), *sphere]
    parameters += [*matching.before, *matching.parameters]
    where = ""
    if after is not None:
        kind = "TEXT" if question.order == "name" else "DOUBLE PRECISION"
        given = f"CAST(? AS {kind})"
        where = f" WHERE (sort_key {sign} {given} OR (sort_key = {given} AND id > ?))"
        parameters += [after.key, after.key, after.supplier_id]
    sql = (
        f"SELECT id, sort_key, squared FROM ({inner}) found{where}"  # noqa: S608 - constants
        f" ORDER BY sort_key {direction}, id LIMIT ?"
    )
    return Statement(sql, (*parameters, limit))


def count(dialect: Dialect, question: Question, terms: tuple[Term, ...], at_most: int) -> Statement:
    """Return the statement that counts what is found, no further than `at_most`."""
    matching = _matching(dialect, question, terms)
    sql = (
        f"SELECT count(*) AS n FROM (SELECT 1 AS one FROM {matching.source}"  # noqa: S608 - constants
        f" WHERE {' AND '.join(matching.conditions)} LIMIT ?) found"
    )
    return Statement(sql, (*matching.before, *matching.parameters, at_most))


_FACETS = {
    "countries": ("s.country", "", "s.country <> ''"),
    "regions": ("s.region", "", "s.region <> ''"),
    "codes": (
        "substr(c.code, 1, 2)",
        " JOIN supplier_codes c ON c.supplier_id = s.id",
        "",
    ),
    "certificates": (
        "z.certificate",
        " JOIN supplier_certificates z ON z.supplier_id = s.id",
        "",
    ),
}
FACETS = tuple(_FACETS)


def facet(
    dialect: Dialect, name: str, question: Question, terms: tuple[Term, ...], at_most: int
) -> Statement:
    """Return the statement that counts the values of a facet among the first `at_most` found."""
    value, join, extra = _FACETS[name]
    matching = _matching(dialect, question, terms)
    where = f" WHERE {extra}" if extra else ""
    counted = "count(DISTINCT s.id)" if join else "count(*)"
    sql = (
        f"SELECT {value} AS value, {counted} AS n FROM (SELECT s.id AS id FROM {matching.source}"  # noqa: S608 - constants
        f" WHERE {' AND '.join(matching.conditions)} LIMIT ?) found"
        f" JOIN suppliers s ON s.id = found.id{join}{where}"
        f" GROUP BY {value} ORDER BY n DESC, value LIMIT 30"
    )
    return Statement(sql, (*matching.before, *matching.parameters, at_most))
