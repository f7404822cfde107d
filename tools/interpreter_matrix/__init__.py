"""The CPython versions that lanewise is proved on: finding, fetching and running them.

tools/interpreters is the way in.  Imports go one way, from `command_line` down:

    command_line         the sub-commands
    fetch                what is missing, under the cache's lock
      build_free_threaded, sid_root    the two ways of getting one
      debian, job        apt's sources and packages; logged work in the cache
    find, execute        which interpreter a version is, and becoming it
      native, chroot     the two kinds of place it may be in
    probe                asking an interpreter what it is
    machine, versions    what all of them need
"""
