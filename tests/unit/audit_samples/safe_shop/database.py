"""S3: double-checked, and a connection for each thread."""

import threading

_connection = None
_connection_lock = threading.Lock()
_mine = threading.local()


class Connection:
    def execute(self, query):
        return query


def connection():
    global _connection
    if _connection is None:
        with _connection_lock:
            if _connection is None:
                _connection = Connection()
    return _connection


def own_connection():
    if not hasattr(_mine, "connection"):
        _mine.connection = Connection()
        _mine.queries = 0
    _mine.queries += 1
    return _mine.connection
