"""Takes longer to import than its calls may take."""

import time

time.sleep(0.6)


def answer():
    return 42
