"""Functions whose lane is to be learned."""

import time


def quick(n):
    return n + 1


def computes(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def turns(n):
    return computes(n)


def waits(duration_s):
    time.sleep(duration_s)
