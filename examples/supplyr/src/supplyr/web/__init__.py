"""The HTTP front: an app factory, and routers that plug into it.

app.py builds the app; plugged.py lists routers and services; context.py is what a request finds;
errors.py answers for what goes wrong; identity.py says who asks; guards/ are pure ASGI middleware.
"""
