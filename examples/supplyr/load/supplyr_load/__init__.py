"""Load tests of SUPPLYR: an open-loop generator, four builds of the same service, ten scenarios.

`python -m supplyr_load --help`
"""
