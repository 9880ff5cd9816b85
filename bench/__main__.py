"""`make bench`: every benchmark in turn; tables to bench/results/, named by what they measure.

python -m bench [--quick]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import machine

RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    # name: (arguments, arguments when quick)
    "http": ([], ["--seconds", "2", "--rounds", "1"]),
    "loader": ([], ["--events", "200000"]),
    "queries": ([], ["--events", "1000000"]),
    "erase": ([], ["--events", "200000"]),
    "track": ([], ["--seconds", "2", "--rounds", "1", "--profiles", "50000"]),
    "adobe": ([], ["--seconds", "2", "--rounds", "1"]),
    "fold": ([], ["--quick"]),
    "tracking": ([], ["--quick"]),
    "playlist": ([], ["--quick"]),
    "splice": ([], ["--quick"]),
    "stream": ([], ["--seconds", "2", "--rounds", "1", "--sessions", "1000"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less, and nothing is written")
    quick = parser.parse_args().quick
    RESULTS.mkdir(exist_ok=True)
    for name, (whole, short) in BENCHMARKS.items():
        print(f"## {name}\n", flush=True)
        command = [sys.executable, "-m", f"bench.{name}", *(short if quick else whole)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(output, flush=True)
        if not quick:
            head = f"# bench.{name}\n\n{machine.describe()}, {datetime.now(UTC):%Y-%m-%d}\n\n"
            (RESULTS / f"{name}.md").write_text(head + output)


if __name__ == "__main__":
    main()
