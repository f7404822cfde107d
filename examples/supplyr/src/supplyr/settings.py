"""What an operator can set: values only, read from the environment by whoever starts SUPPLYR."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "SUPPLYR_"
# The first is the product; the others do without it what it does, to be compared.
BUILDS = ("lanewise", "handler", "threads", "pool")
_POSTGRESQL = ("postgresql://", "postgres://")
# What each kind of heavy work costs, as `lanewise measure supplyr.tasks` found it; reviewed like
# code. Costs travel: how quick a machine's lanes are is found out when a server starts.
COMMITTED_PLAN = Path(__file__).with_name("lanewise.toml")
_AT_LEAST_ONE = (
    "search_per_minute",
    "write_per_minute",
    "login_per_minute",
    "logins_at_once",
    "jobs_per_user",
)
_YEAR_HOURS = 8760


class SettingsError(ValueError):
    """A setting has a value that it cannot have; the message names it and says what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one SUPPLYR runs.

    Attributes:
        data_dir: Where the embedded database, uploads, exports and the secret key lie.
        database: A PostgreSQL URL, or empty for the embedded database in `data_dir`.
        plan: A lanewise plan; None learns routes from the first calls.
        processes: Worker processes for heavy work; None takes the cores that may be used.
        secret_key: Signs cursors and forms; empty takes the one kept in `data_dir`.
        cookie_secure: Cookies travel over HTTPS only. Off by default for http://127.0.0.1.
        trusted_proxies: How many proxies in front append to X-Forwarded-For.
        session_idle_s: A session ends after so much silence ...
        session_max_s: ... and at the latest after this.
        login_memory_kib: Memory of one password check; and logins_at_once how many there may be.
        search_per_minute: Searches that one client may make in a minute.
        write_per_minute: Changes that one client may make in a minute.
        login_per_minute: Passwords that one address may try in a minute.
        max_body_bytes: Larger requests are refused before they are read; uploads have their own.
        max_upload_bytes: The largest file.
        worker_memory_bytes: A worker process that grows larger is killed, whatever it was given.
        build: "lanewise", or one of the naive builds that exist to compare with, see
            supplyr.web.comparison.
        run_jobs: Whether this server also runs durable jobs, or only takes them.
        queue_timeout_s: How long heavy work of a request waits for a place before it is refused.
        duplicate_check_s: How long saving a supplier waits for its duplicate check.
        open_dashboard: The lanewise pages are shown without a login too.
        start_method: How worker processes start: "forkserver", "spawn", or None for the default.
        keep_uploads_days: Uploads are deleted after so many days, unless an import needs them.
        keep_exports_days: The same for the files that export jobs have written.
        rank_every_hours: All ranking scores are computed anew this often; 0 leaves it to people.
        upload_quota_bytes: What the uploads of one account may take; further ones are refused.
        jobs_per_user: Jobs of one account that may wait or run at a time.
        calls_per_worker: Calls after which a worker is replaced; None keeps it.
    """

    data_dir: Path = field(default_factory=lambda: Path("supplyr-data"))
    database: str = ""
    plan: Path | None = None
    processes: int | None = None
    secret_key: str = ""
    cookie_secure: bool = False
    trusted_proxies: int = 0
    session_idle_s: float = 8 * 3600.0
    session_max_s: float = 7 * 86400.0
    login_memory_kib: int = 65536
    logins_at_once: int = 2
    search_per_minute: int = 600
    write_per_minute: int = 120
    login_per_minute: int = 20
    max_body_bytes: int = 256 * 1024
    max_upload_bytes: int = 64 * 1024 * 1024
    worker_memory_bytes: int = 1_500_000_000
    build: str = "lanewise"
    run_jobs: bool = True
    queue_timeout_s: float = 1.0
    duplicate_check_s: float = 0.3
    open_dashboard: bool = False
    start_method: str | None = None
    calls_per_worker: int | None = None
    keep_uploads_days: float = 30.0
    keep_exports_days: float = 7.0
    rank_every_hours: float = 24.0
    upload_quota_bytes: int = 2 * 1024**3
    jobs_per_user: int = 20

    @property
    def uses_postgresql(self) -> bool:
        """Whether the database is a PostgreSQL server."""
        return self.database.startswith(_POSTGRESQL)

    @property
    def sqlite_path(self) -> Path:
        """Where the embedded database lies."""
        return self.data_dir / "supplyr.sqlite3"

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is started."""
        if self.database and not self.uses_postgresql:
            raise SettingsError(
                f"{PREFIX}DATABASE={self.database!r} is not a postgresql:// URL; leave it empty "
                f"for the embedded database in {PREFIX}DATA_DIR"
            )
        if self.build not in BUILDS:
            raise SettingsError(f"{PREFIX}BUILD={self.build!r} must be one of {', '.join(BUILDS)}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise SettingsError(f"{PREFIX}{name.upper()} must be 1 or more")
        for name in ("keep_uploads_days", "keep_exports_days"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{PREFIX}{name.upper()} must be more than 0 days")
        if not 0 <= self.rank_every_hours <= _YEAR_HOURS:
            raise SettingsError(
                f"{PREFIX}RANK_EVERY_HOURS must be 0 (never) to {_YEAR_HOURS} hours"
            )


def _flag(name: str, text: str) -> bool:
    value = text.strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise SettingsError(f"{name}={text!r} must be 1 or 0")


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that variables SUPPLYR_... describe; SettingsError names a wrong one.

    Without SUPPLYR_PLAN the plan that comes with SUPPLYR holds, with an empty one none does.
    """
    values: dict[str, object] = {"plan": COMMITTED_PLAN}
    for name, spec in Settings.__dataclass_fields__.items():
        variable = PREFIX + name.upper()
        text = environment.get(variable)
        if text is None:
            continue
        values[name] = _parsed(variable, str(spec.type), text)
    return Settings(**values)  # type: ignore[arg-type]  # each was parsed by its field's type


def _parsed(variable: str, kind: str, text: str) -> object:
    optional = "None" in kind
    if optional and not text.strip():
        return None
    try:
        if "Path" in kind:
            return Path(text)
        if "bool" in kind:
            return _flag(variable, text)
        if "int" in kind:
            return int(text)
        if "float" in kind:
            return float(text)
    except ValueError as error:
        raise SettingsError(f"{variable}={text!r} must be a number ({error})") from error
    return text
