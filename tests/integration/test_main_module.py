"""The user's own program, as workers see it, beside what else is imported there."""

import subprocess
import sys
import textwrap

PROGRAM = """
import sys
from _lanewise_worker.main_module import install_lazy_main

install_lazy_main({"path": sys.argv[1]})
# It takes whatever is called __main__ then for the program that was started.
sys.modules.pop("multiprocessing", None)
import multiprocessing

assert sys.modules["__mp_main__"] is sys.modules["__main__"]
print(sys.modules["__main__"].answer())
"""


def test_a_module_that_imports_multiprocessing_may_come_before_the_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            def answer():
                return __name__
        """)
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(program)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("__mp_main__\n", 0), done.stderr
