"""The lanewise dashboard at /lanes/, behind the login of administrators (or open, by setting)."""

from fastapi import FastAPI, Request
from lanewise.web import dashboard
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from supplyr.web.context import context_of
from supplyr.web.errors import ProblemError, answer
from supplyr.web.identity import identify

PATH = "/lanes"


class _Guarded:
    """Lets administrators through to an app, and everybody where the settings say so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(Request(scope, receive))
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        if context_of(request).settings.open_dashboard:
            return None
        try:
            identity = await identify(request)
        except ProblemError as error:
            return answer(request, error)
        if identity is None:
            return RedirectResponse(f"/login?next={PATH}/", 303)
        if identity.role != "admin":
            said = "Only administrators see the lanes."
            return answer(request, ProblemError(403, said, code="admin"))
        return None


async def _to_the_pages(_request: Request) -> Response:
    return RedirectResponse(f"{PATH}/", 307)


def mount(app: FastAPI) -> None:
    """Put the dashboard into an app; /readyz asks it too."""
    app.state.lanes = dashboard()
    app.add_route(PATH, _to_the_pages, include_in_schema=False)
    app.mount(PATH, _Guarded(app.state.lanes))
