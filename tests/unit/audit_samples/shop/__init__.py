"""A shop backend with a hazard of each kind: material to audit, never imported."""
