"""What the middleware costs: a bare application against the same one wrapped, under uvicorn and wrk.

Every contestant is a server process of its own; in each round all take turns in random order and are asked
for a second. Two figures a turn: requests a second, and the CPU time of the server a request, which does
not contain what else the machine did meanwhile. Ratios are taken within a round, then the median over
rounds. "again" is the bare application a second time: what noise makes of no difference at all.

    pip install -e '.[web-test]' uvloop httptools && apt-get install wrk
    python benchmarks/middleware.py
    python benchmarks/middleware.py --rounds 30 --json /tmp/middleware.json
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

APPS = ("asgi", "starlette", "fastapi")
WAYS = ("bare", "again", "wrapped")


def make(kind, way):
    """Return the application that a server process of this benchmark serves."""
    app = {"asgi": _asgi, "starlette": _starlette, "fastapi": _fastapi}[kind]()
    if way != "wrapped":
        return app
    from lanewise.web import LanewiseMiddleware

    return LanewiseMiddleware(app)


def _asgi():
    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"hello"})

    return app


def _starlette():
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", hello)])


def _fastapi():
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def hello():
        return {"hello": "world"}

    return app


def __getattr__(name):
    """Let uvicorn find ``middleware:fastapi_wrapped`` and its like."""
    kind, _, way = name.partition("_")
    if kind in APPS and way in WAYS:
        return make(kind, way)
    raise AttributeError(name)


class Server:
    """One contestant's process."""

    def __init__(self, name, loop, http):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", f"middleware:{name}", "--port", str(self.port)]
        command += ["--log-level", "warning", "--no-access-log", "--lifespan", "off"]
        command += ["--loop", loop, "--http", http]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parent)
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit(f"the server of {name} did not start") from None
                time.sleep(0.05)

    def cpu_s(self):
        """CPU time of its first thread, where the loop runs."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def turn(self, connections, seconds):
        """Return requests a second and CPU seconds a request."""
        before, started = self.cpu_s(), time.perf_counter()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}"]
        told = subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}/"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        served = int(re.search(r"(\d+) requests in", told)[1])
        if "Non-2xx" in told or not served:
            raise SystemExit(f"not all requests were answered well:\n{told}")
        return served / (time.perf_counter() - started), (self.cpu_s() - before) / served

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait()


def measure(kind, arguments):
    """Return the rounds of one application: by contestant, requests a second and CPU a request."""
    servers = {way: Server(f"{kind}_{way}", arguments.loop, arguments.http) for way in WAYS}
    rounds = {way: [] for way in WAYS}
    dice = random.Random(arguments.seed)
    try:
        for at in range(-1, arguments.rounds):
            order = list(WAYS)
            dice.shuffle(order)
            for way in order:
                seen = servers[way].turn(arguments.connections, arguments.seconds)
                if at >= 0:  # the first one warms up
                    rounds[way].append(seen)
            print(f"{kind}: round {at + 1} of {arguments.rounds}", file=sys.stderr)
    finally:
        for server in servers.values():
            server.stop()
    return rounds


def judged(rounds):
    """Return each contestant's medians, and its ratios to the bare one within rounds."""
    result = {}
    for way, seen in rounds.items():
        pairs = list(zip(seen, rounds["bare"], strict=True))
        result[way] = {
            "requests_per_s": statistics.median(rate for rate, _ in seen),
            "cpu_us": statistics.median(cpu_s for _, cpu_s in seen) * 1e6,
            "throughput_ratio": statistics.median(one[0] / other[0] for one, other in pairs),
            "cpu_ratio": statistics.median(one[1] / other[1] for one, other in pairs),
        }
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1, help="of a turn")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--apps", default=",".join(APPS))
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--http", default="httptools")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk makes the load and is missing: apt-get install wrk")
    result = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "loop": arguments.loop,
        "http": arguments.http,
        "rounds": arguments.rounds,
        "apps": {kind: judged(measure(kind, arguments)) for kind in arguments.apps.split(",")},
    }
    for kind, ways in result["apps"].items():
        for way, one in ways.items():
            print(
                f"{kind:10} {way:8} {one['requests_per_s']:8,.0f}/s {one['cpu_us']:7.2f} µs CPU  "
                f"throughput {one['throughput_ratio']:.3f}  CPU {one['cpu_ratio']:.3f}"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
