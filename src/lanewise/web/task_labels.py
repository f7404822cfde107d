"""Which tasks have lines of their own in the metrics, and which are counted together."""

from __future__ import annotations

from lanewise.runtime.statistics import CallCounts, RuntimeStatistics, summed

OTHERS = "(others)"
MOST_TASKS = 100


class TaskLabels:
    """Keeps the number of labels bounded and all counters growing.

    The first choice are the tasks with most calls. A task stays where it once was, for if it moved out of
    the others they would shrink, which a counter must not. Owner: whoever exports; not thread-safe.

    Args:
        most: Tasks that have lines of their own.
    """

    def __init__(self, most: int = MOST_TASKS) -> None:
        self._most = most
        self._listed: set[str] = set()
        self._among_others: set[str] = set()

    def of(self, statistics: RuntimeStatistics) -> dict[str, CallCounts]:
        """Return the counts of each listed task, and of all others, if any, under ``"(others)"``."""
        tasks = statistics.tasks
        self._listed &= tasks.keys()
        self._among_others &= tasks.keys()
        new = [
            task
            for task in tasks
            if task != OTHERS and task not in self._listed and task not in self._among_others
        ]
        new.sort(key=lambda task: (-_calls(tasks[task]), task))
        room = max(self._most - len(self._listed), 0)
        self._listed.update(new[:room])
        self._among_others.update(new[room:])
        found = {task: tasks[task] for task in sorted(self._listed)}
        rest = [counts for task, counts in tasks.items() if task not in self._listed]
        if rest:
            found[OTHERS] = summed(rest)
        return found


def _calls(counts: CallCounts) -> int:
    return counts.admitted + counts.shed
