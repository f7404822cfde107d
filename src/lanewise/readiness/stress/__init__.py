"""``lanewise audit --stress``: run what the audit has only read, and see what breaks.

::

    subjects                     findings as functions and objects that can be imported
    suite, rounds                the project's tests in a child; one try of a test, and chance
    judging, attribution         the test's fault or the code's; which finding it is about
    models, regression           two calls under every simple schedule; a failing one kept as a test
    outcome, proof               the report; all of it in order
    far_side/                    what runs beside the user's code

This is the one part of the audit that imports and runs the project, always in child processes.
"""

from lanewise.readiness.stress.outcome import StressReport
from lanewise.readiness.stress.proof import StressOptions, prove

__all__ = ["StressOptions", "StressReport", "prove"]
