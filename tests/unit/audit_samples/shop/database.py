"""H3: a connection made on first use."""

_connection = None


class Connection:
    def execute(self, query):
        return query


def connection():
    global _connection
    if _connection is None:
        _connection = Connection()
    return _connection
