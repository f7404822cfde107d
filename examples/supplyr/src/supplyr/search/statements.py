"""SQL for questions, in both dialects. Pure: a question in, a statement and its parameters out."""

from collections.abc import Sequence
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

_HAS_CODE = "s.id IN (SELECT c.supplier_id FROM supplier_codes c WHERE c.code >= ? AND c.code < ?)"
_HAS_CODE_IN_ORDER = (
    "EXISTS (SELECT 1 FROM supplier_codes c WHERE c.supplier_id = s.id"
    " AND c.code >= ? AND c.code < ?)"
)
_HAS_CERTIFICATE = (
    "s.id IN (SELECT z.supplier_id FROM supplier_certificates z WHERE z.certificate = ?)"
)
_HAS_CERTIFICATE_IN_ORDER = (
    "EXISTS (SELECT 1 FROM supplier_certificates z WHERE z.supplier_id = s.id"
    " AND z.certificate = ?)"
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
    """What a question finds: FROM and WHERE, and which column is the supplier's id.

    `before` are parameters of FROM, `after` those of WHERE.
    """

    supplier_id: str
    source: str
    where: str
    before: list[Any]
    after: list[Any]

    @property
    def parameters(self) -> list[Any]:
        return [*self.before, *self.after]


def _matching(
    dialect: Dialect, question: Question, terms: tuple[Term, ...], *, rows: bool, few: bool
) -> _Matching:
    """Put together what finds.

    Args:
        dialect: Which SQL.
        question: What is asked.
        terms: Its words, with what they may have meant.
        rows: Columns of suppliers are needed. Without them (and without filters) the index of
            words answers alone: it holds active suppliers only, and each look at a row costs.
        few: Rows come in order, and only the first are needed: codes are looked at row by row.
            Else it is quicker to begin with the suppliers that have the code.
    """
    conditions, after = _filters(question, few=few)
    joins = rows or bool(conditions)
    source, before, supplier_id = "suppliers s", [], "s.id"
    if terms and dialect == "sqlite":
        source, supplier_id = "search_documents", "search_documents.rowid"
        if joins:
            # CROSS JOIN keeps the order: the index of words first, whatever else there is.
            source += " CROSS JOIN suppliers s ON s.id = search_documents.rowid"
        conditions.insert(0, "search_documents MATCH ?")
        after.insert(0, fts5(terms))
    elif terms:
        supplier_id = "d.supplier_id"
        source = (
            "(SELECT to_tsquery('simple', ?) AS asked) q"
            " JOIN search_documents d ON d.words @@ q.asked"
        )
        if joins:
            source += " JOIN suppliers s ON s.id = d.supplier_id"
        before = [tsquery(terms)]
    if joins or not terms:
        conditions.append("s.status = 'active'")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return _Matching(supplier_id, source, where, before, after)


def _filters(question: Question, *, few: bool) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for column, value in (("country", question.country), ("region", question.region)):
        if value:
            conditions.append(f"s.{column} = ?")
            parameters.append(value)
    if question.code:
        conditions.append(_HAS_CODE_IN_ORDER if few else _HAS_CODE)
        parameters += [question.code, question.code + "~"]
    if question.certificate:
        conditions.append(_HAS_CERTIFICATE_IN_ORDER if few else _HAS_CERTIFICATE)
        parameters.append(question.certificate)
    if question.near is not None:
        _add_near(question.near, conditions, parameters)
    return conditions, parameters


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
    needs_rows = question.order != "relevance"
    matching = _matching(dialect, question, terms, rows=needs_rows, few=True)
    squared = "CAST(NULL AS DOUBLE PRECISION)" if question.near is None else _SQUARED
    sphere = [] if question.near is None else _sphere(question.near)
    if question.order == "relevance":
        key, falls = (_BM25 if dialect == "sqlite" else _TS_RANK), False
    else:
        key, falls = _KEYS[question.order]
    direction, sign = ("DESC", "<") if falls else ("ASC", ">")
    inner = (
        f"SELECT {matching.supplier_id} AS id, {key} AS sort_key, {squared} AS squared"  # noqa: S608 - constants
        f" FROM {matching.source}{matching.where}"
    )
    parameters = [*(sphere if key == _SQUARED else ()), *sphere]
    parameters += matching.parameters
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


# Name -> (its value, how suppliers are counted, where it stands).
_FACETS = {
    "countries": ("s.country", "count(*)", "suppliers s ON s.id = found.id AND s.country <> ''"),
    "regions": ("s.region", "count(*)", "suppliers s ON s.id = found.id AND s.region <> ''"),
    "codes": (
        "substr(c.code, 1, 2)",
        "count(DISTINCT found.id)",
        "supplier_codes c ON c.supplier_id = found.id",
    ),
    "certificates": (
        "z.certificate",
        "count(*)",
        "supplier_certificates z ON z.supplier_id = found.id",
    ),
}
FACETS = tuple(_FACETS)
_VALUES = 30


def overview(
    dialect: Dialect,
    question: Question,
    terms: tuple[Term, ...],
    facets: Sequence[str],
    at_most: int,
) -> Statement:
    """Return the statement that counts what is found, and the values of facets among it.

    Counted are `at_most` suppliers, found once for all. Rows have `facet`, `value` and `n`; the
    one without a facet is the count of all.
    """
    matching = _matching(dialect, question, terms, rows=False, few=False)
    parts = ["SELECT '' AS facet, '' AS value, count(*) AS n FROM found"]
    for name in facets:
        value, counted, join = _FACETS[name]
        parts.append(
            f"SELECT facet, value, n FROM (SELECT '{name}' AS facet, {value} AS value,"  # noqa: S608 - constants
            f" {counted} AS n FROM found JOIN {join} GROUP BY {value}"
            f" ORDER BY n DESC, value LIMIT {_VALUES}) of_{name}"
        )
    sql = (
        f"WITH found AS MATERIALIZED (SELECT {matching.supplier_id} AS id"  # noqa: S608 - constants
        f" FROM {matching.source}{matching.where} LIMIT ?) {' UNION ALL '.join(parts)}"
    )
    return Statement(sql, (*matching.parameters, at_most))
