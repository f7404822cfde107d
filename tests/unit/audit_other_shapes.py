"""Every shape, in the order in which they were written."""

from __future__ import annotations

from tests.unit.audit_shape import Shape
from tests.unit.audit_shapes_1 import FIRST
from tests.unit.audit_shapes_2 import SECOND
from tests.unit.audit_shapes_3 import THIRD

SHAPES: list[Shape] = [*FIRST, *SECOND, *THIRD]
