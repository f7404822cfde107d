"""`python -m supplyr VERB`: one module a verb."""
