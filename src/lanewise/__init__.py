"""lanewise: the GIL as a design parameter of Python backends."""

from lanewise.model.task import Task, task

__all__ = ["Task", "task"]
