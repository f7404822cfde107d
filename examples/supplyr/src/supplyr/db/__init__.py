"""The database: two backends behind one protocol, and the schema's migrations.

database.py what is asked of one; sqlite.py, postgresql.py the backends; asides.py changes that may
get lost; migrate.py brings a database to the schema of this version; opening.py opens the one that
the settings name.
"""
