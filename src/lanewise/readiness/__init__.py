"""Is this project ready for free-threaded Python: its dependencies."""
