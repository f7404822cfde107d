"""Open the database that the settings name, at the schema of this version."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from supplyr.db.database import Database
from supplyr.db.migrate import migrate
from supplyr.db.postgresql import open_postgresql
from supplyr.db.sqlite import open_sqlite
from supplyr.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Database]:
    """Open, migrate, and close at the end; DatabaseError says what is in the way."""
    database: Database
    if settings.uses_postgresql:
        database = await open_postgresql(settings.database)
    else:
        database = await open_sqlite(settings.sqlite_path)
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()
