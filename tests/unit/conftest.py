"""Fixtures that several modules use."""

from tests.unit.segment_ends import either, ends  # noqa: F401 - because: pytest finds them by their names here
