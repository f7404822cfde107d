"""The app as a whole: what watches it, and what goes wrong."""

import httpx


async def test_it_is_alive_and_ready_and_tells_numbers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).text == "ok\n"
    ready = await client.get("/readyz")
    # On a machine that is busy with other things the loop may be late, and that is told.
    reasons = [reason for reason in ready.json()["reasons"] if "event loop" not in reason]
    assert reasons == []
    assert ready.json()["ready"] is (ready.status_code == 200)
    assert "lanewise_info" in (await client.get("/metrics")).text


async def test_an_unknown_address_is_a_page_for_people_and_a_problem_for_programs(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/nothing-here")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    problem = await client.get("/api/v1/nothing-here")
    assert problem.status_code == 404
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["status"] == 404


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/nothing-here", "/api/v1/nothing-here"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


async def test_static_files_are_kept_by_browsers_and_nothing_else_is_served(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/static/x/../app.py", "/static/x/%2e%2e%2fapp.py", "/static/x/nothing.css"):
        assert (await client.get(path)).status_code == 404


async def test_a_wrong_method_is_told_all_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/api/v1/suppliers/5")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
