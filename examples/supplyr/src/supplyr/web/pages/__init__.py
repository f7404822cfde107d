"""Pages for people: complete without JavaScript; htmx swaps parts of them where it runs."""
