"""Who may do what: passwords, sessions, keys, form tokens, limits. Nothing here knows of HTTP."""
