"""Needs an extension of the standard library that no interpreter with its own lock may load."""

import faulthandler


def answer():
    return faulthandler.is_enabled()
