"""Imported before everything else by processes that stay: what they would load and never use.

structlog imports rich, to draw tracebacks with, wherever it is installed. These processes log JSON
and draw nothing; it is 5 MB of each.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # what importing takes as "not there"
