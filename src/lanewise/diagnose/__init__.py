"""Looks at a running program from outside, and says what the GIL costs it.

How it is laid out::

    memory, elf, layout           another process's memory, and where its interpreter keeps what
    interpreter, code_table       its threads, stacks and lock, through published offsets (from 3.13)
    learned, py_spy               where the lock is, and stacks, for 3.11 and 3.12
    kernel_view, core_meter       what the kernel knows of each thread
    looker, kernel_looker         one look at all threads; recorder: again and again; observe: a session
    states, session               the seven columns; the artefact that is saved
    shares, loops, summary        pure: where time went, what stalled loops, the document
    advice, gate, compare         pure: what would help, conditions for CI, before and after
    exports, page/                other viewers' formats, and a page
"""
