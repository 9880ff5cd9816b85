"""`python served_with.py PATCH serve …`: footfall serve, whose processes run a patch first.

PATCH is a Python file with `supervisor(children)`, called in the parent process with its module
of children, and `child(parameters)`, called in every child; either may be missing.
"""

from __future__ import annotations

import json
import runpy
import sys


def main(patch, *arguments):
    patched = runpy.run_path(patch)
    if arguments[0] == "serve":
        from footfall.cli import main as footfall
        from footfall.supervisor import child as children

        children.CHILD_COMMAND = (sys.executable, __file__, patch)
        patched.get("supervisor", lambda _children: None)(children)
        sys.argv[:] = ["footfall", *arguments]
        footfall()
    from footfall.app.__main__ import main as child

    patched.get("child", lambda _parameters: None)(json.loads(arguments[0]))
    return child(arguments[0])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
