"""The kinds of place that a call can run in, one file each."""
