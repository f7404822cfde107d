"""The same backend, safe: nothing in it may be reported."""
