"""Suspected duplicates: full runs, clusters to review, merges and their undoing."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from supplyr.dedupe import DEFAULT_THRESHOLD
from supplyr.store import duplicates
from supplyr.web import reviewing, work
from supplyr.web.api.jobs import Job, Key, started
from supplyr.web.api.models import MAX_ID, STRICT, Id
from supplyr.web.api.responses import problems
from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer
from supplyr.web.limits import WRITES

router = APIRouter(prefix="/api/v1", tags=["duplicates"])
ClusterId = Annotated[int, Path(ge=1, le=MAX_ID)]
State = Literal["open", "merged", "dismissed"]
# Below it half of a directory looks like the other half.
MIN_THRESHOLD = 0.7


class RunIn(BaseModel):
    """How similar two suppliers must be, as a share."""

    model_config = STRICT

    threshold: float = Field(DEFAULT_THRESHOLD, ge=MIN_THRESHOLD, le=1.0, allow_inf_nan=False)


class Member(BaseModel):
    """A supplier of a cluster; `permille` is its similarity to the most similar other one."""

    supplier_id: int
    permille: int


class Cluster(BaseModel):
    """Suppliers that look like one."""

    id: int
    state: State
    best_permille: int
    members: list[Member]


class ClusterPage(BaseModel):
    """Clusters, the most similar first; for more pass the last one's figures as `after_...`."""

    items: list[Cluster]
    total: int


class MergeIn(BaseModel):
    """Which supplier stays, and which become part of it."""

    model_config = STRICT

    survivor_id: Id
    member_ids: list[Id] = Field(min_length=1, max_length=50)


class DismissIn(BaseModel, extra="forbid", strict=True):
    """Who was looked at. Where others are in the cluster by now, nothing is noted (409)."""

    member_ids: list[Id] = Field(min_length=1, max_length=50)


class Merged(BaseModel):
    """A merge, by the number under which it can be undone."""

    merge_id: int
    survivor_id: int


@router.post(
    "/duplicate-runs", status_code=202, responses=problems(403, 409), dependencies=[WRITES]
)
async def start_run(
    request: Request, response: Response, identity: Writer, asked: RunIn, key: Key = None
) -> Job:
    """Compare all suppliers with each other, as a job."""
    return started(response, await work.start_duplicates(request, identity, asked.threshold, key))


@router.get("/duplicate-clusters", responses=problems())
async def list_clusters(
    request: Request,
    identity: Writer,
    state: State = "open",
    after_permille: Annotated[int | None, Query(ge=0, le=1000)] = None,
    after_id: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ClusterPage:
    """Return clusters of a state."""
    database = context_of(request).database
    after = None if after_permille is None else (after_permille, after_id)
    rows = await duplicates.page(database, state, after, limit)
    total = await duplicates.count(database, state)
    return ClusterPage(items=[Cluster.model_validate(row) for row in rows], total=total)


@router.get("/duplicate-clusters/{cluster_id}", responses=problems(404))
async def read_cluster(request: Request, identity: Writer, cluster_id: ClusterId) -> Cluster:
    """Return a cluster."""
    row = await duplicates.get(context_of(request).database, cluster_id)
    if row is None:
        raise ProblemError(404, f"There is no cluster {cluster_id}.", code="no-cluster")
    return Cluster.model_validate(row)


@router.post(
    "/duplicate-clusters/{cluster_id}/merge",
    responses=problems(403, 409),
    dependencies=[WRITES],
)
async def merge_cluster(
    request: Request, identity: Writer, cluster_id: ClusterId, asked: MergeIn
) -> Merged:
    """Merge members of a cluster into one of them."""
    merge_id = await reviewing.merge(
        request, identity, cluster_id, asked.survivor_id, asked.member_ids
    )
    return Merged(merge_id=merge_id, survivor_id=asked.survivor_id)


@router.post(
    "/duplicate-clusters/{cluster_id}/dismiss",
    status_code=204,
    responses=problems(403, 409),
    dependencies=[WRITES],
)
async def dismiss_cluster(
    request: Request, identity: Writer, cluster_id: ClusterId, asked: DismissIn | None = None
) -> Response:
    """Note that the members of a cluster are different suppliers."""
    seen = None if asked is None else asked.member_ids
    await reviewing.dismiss(request, identity, cluster_id, seen)
    return Response(status_code=204)


@router.post(
    "/merges/{merge_id}/undo", status_code=204, responses=problems(403, 409), dependencies=[WRITES]
)
async def undo_merge(request: Request, identity: Writer, merge_id: ClusterId) -> Response:
    """Undo a merge: what moved goes back; what was changed since stays."""
    await reviewing.undo(request, identity, merge_id)
    return Response(status_code=204)
