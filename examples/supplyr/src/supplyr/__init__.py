"""SUPPLYR: the working parts of a supplier directory, declared as lanewise tasks."""

__version__ = "0.1.0"
