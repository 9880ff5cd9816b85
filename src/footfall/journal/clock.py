"""The system's clock, as every engine takes it where a test does not give another."""

from __future__ import annotations

import time

from footfall.model import Micros


def system_clock() -> Micros:
    return time.time_ns() // 1000
