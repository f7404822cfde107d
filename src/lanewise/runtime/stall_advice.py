"""What to do about a stall, in words: from the line that was seen and what lay beyond it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lanewise.model.units import format_seconds
from lanewise.runtime.stalls import Frame, Roots, Stack, origin

# Shares of the stall that the loop's thread wanted a core: below the first it waited for something, from
# the second on it computed. Between them it did both.
_WAITED_SHARE = 0.2
_COMPUTED_SHARE = 0.6
# Seen running nothing, yet on a core for so long: it ran something between two looks.
_BUSY_SHARE = 0.3
# A function that was innermost less often than this is one of many.
_ONE_OF_MANY_SHARE = 0.4

_CALL = re.compile(r"([A-Za-z_][\w.]*)\s*\(")
# Never what takes the time, or no calls at all.
_NOT_THE_CALL = re.compile(
    r"^(if|elif|while|for|in|not|and|or|return|yield|await|assert|del|print|range|len|int|str|float"
    r"|bytes|list|dict|set|tuple|enumerate|zip|super|isinstance|getattr|hasattr|lambda|def)$"
)
_DEFINITION = re.compile(r"\bdef\s+\w+")
_COMPUTING = re.compile(
    r"\b(json|orjson|ujson|simplejson|msgspec|msgpack|pydantic|pickle|marshal|re|regex|zlib|gzip|bz2|lzma"
    r"|zstandard|hashlib|hmac|bcrypt|argon2|passlib|copy|csv|yaml|tomllib|xml|lxml|bs4|html|base64"
    r"|difflib|rapidfuzz|jinja2|numpy|np|pandas|pd|polars|pl|PIL|cv2|sklearn|torch|cryptography|jwt"
    r"|statistics|sorted|sum|min|max|deepcopy|model_validate|model_validate_json|model_dump"
    r"|model_dump_json|validate_python|parse_obj|parse_raw|jsonable_encoder)\b"
)
_ENCODING_A_CALL = re.compile(r"\b(lanewise\.lanes\.process|_lanewise_worker\.(codec|crossing))\.")
_SHARING = re.compile(r"\blanewise\.lanes\.process\.(lane|handles)\.share\(")
_ON_THE_LOOP_LANE = re.compile(r"\blanewise\.lanes\.event_loop\.")
_DEBUGGER = re.compile(r"\b(pdb|bdb|ipdb|pydevd\w*|debugpy)\.|\b(breakpoint|input)\s*\(")
_FRAMEWORK_ENCODES = re.compile(r"\bfastapi\.(encoders|routing)\.|\bstarlette\.responses\.")
# In the order in which they are looked for: what is told first is what the later ones rest upon.
_WAITS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(time\.sleep|sleep)\s*\("), "await asyncio.sleep(…) instead"),
    (
        re.compile(r"\bsubprocess\.|\bos\.(system|popen|wait\w*)\s*\("),
        "await asyncio.create_subprocess_exec(…), or await asyncio.to_thread(…)",
    ),
    (
        re.compile(
            r"\b(requests|urllib|urllib3|http\.client|httpx|httpcore|boto3|botocore|grpc)\."
            r"|\burlopen\s*\("
        ),
        "await an asynchronous client, or await asyncio.to_thread(…)",
    ),
    (
        re.compile(
            r"\b(sqlite3|psycopg2?|pymysql|MySQLdb|pymongo|redis|sqlalchemy|django\.db)\."
            r"|\.(execute|executemany|fetchall|fetchone|commit)\s*\("
        ),
        "await the asynchronous driver, or await asyncio.to_thread(…)",
    ),
    (
        re.compile(
            r"\b(socket|ssl|smtplib|ftplib|imaplib)\."
            r"|\.(recv|recv_into|sendall|connect|accept|getaddrinfo|gethostbyname)\s*\("
        ),
        "await asyncio's streams, or await asyncio.to_thread(…)",
    ),
    (
        re.compile(
            r"\b(threading|queue|concurrent\.futures\.\w+)\."
            # str.join takes an argument, the join of a thread none or a time.
            r"|\.(result|join|acquire)\s*\(\s*(\)|timeout|\d)"
        ),
        "a lock of threads stops the whole loop: use asyncio's own, or await asyncio.to_thread(…)",
    ),
    (
        re.compile(
            r"\bopen\s*\(|\.(read|readline|readlines|write|read_text|read_bytes|write_text|write_bytes"
            r"|flush|fsync|glob|iterdir|rglob|unlink|rmtree)\s*\(|\b(shutil|tempfile|glob)\.|\bos\.walk\b"
        ),
        "await asyncio.to_thread(…) for files",
    ),
)


# From here on it is the lack of a core that is to blame, whatever the loop was doing.
STARVED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of one stall whose loop ran something.

    Attributes:
        frame: The one that is blamed.
        line: Its source line, empty where there is none.
        callback: The stack above the loop.
        entry: The function to move away: the outermost one that is no coroutine; empty where the
            time goes in a coroutine itself.
        share: In which share of the looks the frame's function was innermost.
        busy_share: Share of the stall that the loop's thread spent on a core, or ready to run without
            one; None where unknown.
    """

    frame: Frame
    line: str
    callback: Stack
    entry: str
    share: float
    busy_share: float | None


def advise(scene: Scene, roots: Roots) -> str:
    """Say what to do about it."""
    at = max((at for at, one in enumerate(scene.callback) if one == scene.frame), default=-1)
    beyond = _calls(scene.callback[at + 1 :], roots)
    what = _call_on(scene.line) or beyond.partition("(")[0]
    text = f"{scene.line} {_calls((scene.frame,), roots)} {beyond}"
    if _DEBUGGER.search(text):
        return "a debugger or a prompt stopped the event loop"
    if _SHARING.search(beyond):
        return "rt.share() copies the value before it returns: await asyncio.to_thread(rt.share, value)"
    if _ENCODING_A_CALL.search(text):
        return (
            "lanewise was pickling the arguments of a call: rt.share() what many calls need, or pass a "
            "path and read it there"
        )
    if _ON_THE_LOOP_LANE.search(_calls(scene.callback, roots)):
        return (
            f"{scene.entry or scene.frame.function} goes to the event loop, by a plan or a pin, and "
            "keeps it too long: measure it again (lanewise measure), or pin it with lane='process'"
        )
    return _waits(scene, text, what) or _computes(scene, text, what)


def _waits(scene: Scene, text: str, what: str) -> str | None:
    if scene.busy_share is not None and scene.busy_share >= _COMPUTED_SHARE:
        return None
    name = what or scene.frame.function
    for pattern, remedy in _WAITS:
        if pattern.search(text):
            name = next(
                (call for call in _calls_on(scene.line) if pattern.search(f"{call}(")), name
            )
            return f"{name} blocks the event loop: {remedy}"
    if scene.busy_share is not None and scene.busy_share < _WAITED_SHARE:
        return (
            f"{name} waits, and the event loop with it: await its asynchronous counterpart, "
            "or await asyncio.to_thread(…)"
        )
    return None


def _computes(scene: Scene, text: str, what: str) -> str:
    if _FRAMEWORK_ENCODES.search(text):
        return (
            "the framework encodes a response on the event loop: encode it with await rt.run(…) and "
            "return a Response of the bytes"
        )
    if scene.share < _ONE_OF_MANY_SHARE:
        return (
            f"many pieces of code ran in a row, {scene.frame.function} most often: bound how many run at "
            "once, or await rt.run(…) what they compute"
        )
    if what and _COMPUTING.search(text):
        return f"{what} computes on the event loop: await rt.run({scene.entry or what}, …)"
    if scene.entry:
        return f"CPU-bound code on the event loop: await rt.run({scene.entry}, …)"
    return (
        f"CPU-bound code on the event loop, in the coroutine {scene.frame.function} itself: make a "
        "function of it and await rt.run(it, …)"
    )


def _call_on(line: str) -> str:
    """The call on a source line that is the likeliest to take the time, or nothing."""
    calls = _calls_on(line)
    known = [call for call in calls if _COMPUTING.search(call)]
    return (known or calls or [""])[0]


def _calls_on(line: str) -> list[str]:
    found: list[str] = _CALL.findall(_DEFINITION.sub("", line))
    return [call for call in found if not _NOT_THE_CALL.match(call)]


def _calls(stack: Stack, roots: Roots) -> str:
    """The frames as if they had been called by their full names, which is what patterns look for."""
    return " ".join(f"{_module(frame.file, roots)}.{frame.function}(" for frame in stack)


def _module(file: str, roots: Roots) -> str:
    whose = origin(file, roots)
    if whose == "user":
        return "user"
    file = re.sub(r"^.*[/\\](site|dist)-packages[/\\]", "", file)
    for root in roots.own:
        # The directory is the package itself, whose name stands for it.
        file = file.replace(root, root[root.rstrip("/\\").rfind(root[-1]) + 1 :])
    for root in (*roots.library, *roots.standard):
        file = file.removeprefix(root)
    return re.sub(r"[/\\]", ".", file.removesuffix(".py")).removesuffix(".__init__")


def advise_idle(
    holder: Frame | None, busy_share: float | None, *, seen: bool, ran: bool, gil: bool
) -> str:
    """Say what kept a loop late whose thread was not seen to run anything.

    Args:
        holder: Another thread's frame, if one was seen that is likely to blame.
        busy_share: As in :class:`Scene`.
        seen: Whether the loop's thread was looked at while it lasted.
        ran: Whether this process used a core meanwhile.
        gil: Whether its threads share one lock.
    """
    if not ran:
        return (
            "the whole process stood still: suspended, stopped by a debugger or without a core; or C "
            "code waited while it held the GIL"
        )
    if busy_share is not None and busy_share >= _BUSY_SHARE:
        return (
            "the loop's thread computed, but could not be looked at in time: C code that keeps the GIL; "
            "asyncio's debug mode names the callback"
        )
    what = "was ready to run but" if seen else "could not be looked at, and probably"
    why = "other threads hold the GIL, or all cores are busy" if gil else "all cores are busy"
    who = f"; another thread was most often at {holder}" if holder else ""
    return (
        f"the loop's thread {what} got no {'lock or ' if gil else ''}core: {why}{who}: give CPU-bound "
        "work to lane='process'"
    )


def advise_starved(share: float) -> str:
    """Say what kept a loop from going on whose thread was ready to, and had no core."""
    return (
        f"for {min(share, 1.0):.0%} of it the loop's thread was ready to run and had no core, so that "
        "line is only where it happened to stand: fewer processes= or threads, more cores, or less "
        "beside it on this machine"
    )


def advise_collection(gc_s: float) -> str:
    """Say what to do about a stall that was mostly the garbage collector's."""
    return (
        f"the garbage collector ran for {format_seconds(gc_s)} of it: gc.freeze() once the application "
        "is loaded, or a higher gc.set_threshold()"
    )
