"""Every shape, in the order in which they were written."""

from __future__ import annotations

from tests.unit.audit_shape import Shape
from tests.unit.audit_shapes_1 import FIRST
from tests.unit.audit_shapes_2 import SECOND
from tests.unit.audit_shapes_3 import THIRD
from tests.unit.audit_shapes_4 import ALIKE
from tests.unit.audit_shapes_5 import SERVICES
from tests.unit.audit_shapes_6 import FRAMEWORKS
from tests.unit.audit_shapes_7 import COLLECTIONS
from tests.unit.audit_shapes_8 import STATEMENTS
from tests.unit.audit_shapes_9 import GIVEN
from tests.unit.audit_shapes_10 import STEPS
from tests.unit.audit_shapes_11 import NOT_FOR_THREADS

SHAPES: list[Shape] = [
    *FIRST, *SECOND, *THIRD, *ALIKE, *SERVICES, *FRAMEWORKS, *COLLECTIONS,
    *STATEMENTS, *GIVEN, *STEPS, *NOT_FOR_THREADS,
]  # fmt: skip
