"""Stands for an extension that is wrong about itself: fine in the main interpreter, deadly in others."""

import os
import signal
import sys

import _interpreters

if _interpreters.get_current() != _interpreters.get_main():
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def answer():
    return 42
