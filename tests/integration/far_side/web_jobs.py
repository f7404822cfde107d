"""What services under test run on lanes."""

import os

from lanewise.web import request_id


def who():
    """The request that this call belongs to, and the process that it runs in."""
    return [request_id.get(), os.getpid()]
