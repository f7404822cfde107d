"""What runs on the far side of a lane. Standard library only; never imports lanewise.

A top-level package of its own, because importing anything below ``lanewise`` would run
``lanewise/__init__.py``, and every worker that starts would pay for it.
"""
