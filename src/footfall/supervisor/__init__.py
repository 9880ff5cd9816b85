"""The parent process: binds the ports, starts the children, restarts them, ends them cleanly.

Two kinds of children: **collectors** (the tracking port) and one **worker** (follows the journal,
loads the lake, answers SQL). They die with the supervisor, and a child that dies alone is
started again. This process does nothing else and loads nothing heavy, so that nothing which
happens to data can end it; what the children do is `footfall.app`'s matter.

``parent``   what the process owns (ports, lock, counters), and its life from start to end
``child``    one process that should be running: how it is started, awaited, put off and ended
``signals``  what has been asked for from outside
"""

from footfall.supervisor.child import CHILD_FAILED, JOURNAL_FAILED
from footfall.supervisor.parent import serve

__all__ = ["CHILD_FAILED", "JOURNAL_FAILED", "serve"]
