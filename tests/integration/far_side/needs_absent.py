import lanewise_no_such_package  # noqa: F401
