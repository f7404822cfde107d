"""SQL, one module for each family of tables; nothing above this layer writes any.

Functions take a Reader or a Transaction and never open one, so that whoever calls decides what
belongs together.
"""
