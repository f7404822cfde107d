"""What runs inside a program whose calls' arguments are to be kept: only when that was asked for.

``sitecustomize`` is found by the program's interpreter because this folder stands first on its path;
it loads ``calls``, which needs the standard library alone, for the program's environment may have
nothing of lanewise.
"""
