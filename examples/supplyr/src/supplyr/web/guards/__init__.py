"""Pure ASGI middleware: what is true for every request, whoever answers it."""
