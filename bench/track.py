"""`/track` posts against vaix posts, one server, one run, with a million known profiles.

The profiles are brought in by `footfall import`, as one who moves over from Tracardi does it. Posts
of the same visit draw one of `VISITS` visits at random, each of another profile; first visits name
a session that nobody has sent before and no profile. All are durable before the reply.

    python -m bench.track [--seconds 6] [--rounds 5] [--profiles 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.http import acknowledged, footfall, lua, query, wrk

CONNECTIONS = 64
VISITS = 50_000
BATCH = 100
"""Events in a post of many."""
BATCH_VISITS = 5_000
"""Whose posts of many there are: wrk keeps them all, 15 kB each."""
SAME_VISIT, FIRST_VISIT, BATCH_EVENTS = 0.6, 0.35, 150_000
"""At least: of the vaix rate, of the vaix rate, and acknowledged events a second."""
EVENT = {"type": "page-view", "properties": {"pageTitle": "My Page", "product": "Adidas sneakers"}}
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
HEAD = (
    "POST /track HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://shop.example\r\n"
    f"User-Agent: {AGENT}\r\nContent-Type: application/json\r\nContent-Length: "
)


def script(body: dict[str, object], arguments: str, setup: str = "") -> str:
    """A wrk script that posts `body`, whose `%` places are filled by Lua expressions.

    What `setup` sets as `n` names a request that is made once and then kept, as the vaix posts
    are: what it costs to make one is wrk's time, which is taken from the server's.
    """
    return f"""
local thread = 0
function setup(one) one:set("id", thread); thread = thread + 1 end
function init() math.randomseed(os.time() + id); turn = 0 end
local head, body, made = {json.dumps(HEAD)}, {json.dumps(json.dumps(body))}, {{}}
request = function()
  turn = turn + 1
  local n
  {setup}
  local known = n and made[n]
  if known then return known end
  local text = string.format(body, {arguments})
  text = head .. #text .. "\\r\\n\\r\\n" .. text
  if n then made[n] = text end
  return text
end
"""


def scripts() -> dict[str, str]:
    payload = {"source": {"id": "bench-key"}, "session": {"id": "s%07d"}}
    known = {**payload, "profile": {"id": "p%07d"}}
    first = {**payload, "session": {"id": "%08x-%d-%d"}, "events": [EVENT]}
    one = {**known, "events": [EVENT]}
    many = {**known, "events": [EVENT] * BATCH}
    return {
        "begin": script(one, "n, n", f"n = (turn * 2 + id) % {VISITS}"),
        "vaix": lua("127.0.0.1"),
        "same visit": script(one, "n, n", f"n = math.random(0, {VISITS - 1})"),
        "first visit": script(first, "math.random(0, 2147483647), id, turn"),
        "many events": script(many, "n, n", f"n = math.random(0, {BATCH_VISITS - 1})"),
    }


def bring_in(data: Path, folder: Path, profiles: int) -> float:
    """Import known profiles; seconds."""
    file = folder / "profiles.jsonl"
    with file.open("w") as lines:
        for number in range(profiles):
            lines.write(json.dumps({"id": f"p{number:07d}"}) + "\n")
    command = [str(Path(sys.executable).with_name("footfall")), "import", str(file), "--source",
               "bench", "--data", str(data)]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def behind(data: Path, sent: int) -> float:
    """Seconds from now until as many events are in the lake."""
    began = time.monotonic()
    while time.monotonic() - began < 120:
        if int(query(data, "select count(*) as n from events")[0]["n"]) >= sent:
            break
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    rates: dict[tuple[str, str], list[float]] = {}
    refused = 0
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        files = {}
        for kind, text in scripts().items():
            files[kind] = folder / f"{kind.replace(' ', '-')}.lua"
            files[kind].write_text(text)
        with footfall(folder) as (port, _, data):
            imported = bring_in(data, folder, arguments.profiles)
            begun = 0
            while begun < VISITS:
                wrk(files["begin"], port, CONNECTIONS, 2)
                time.sleep(1.2)  # the counters are written once a second
                begun = acknowledged(port)
            # Each kind in turns with vaix, and by itself: what comes for the first time would take the
            # place of known visits in the collector's memory.
            for kind in ("same visit", "first visit"):
                for _ in range(arguments.rounds):
                    for turn in ("vaix", kind):
                        run = wrk(files[turn], port, CONNECTIONS, arguments.seconds)
                        rates.setdefault((kind, turn), []).append(run.rate)
                        refused += run.refused
            time.sleep(1.2)
            behind(data, acknowledged(port))
            for _ in range(arguments.rounds):
                run = wrk(files["many events"], port, CONNECTIONS, arguments.seconds)
                rates.setdefault(("many events",) * 2, []).append(run.rate)
                refused += run.refused
            time.sleep(1.2)
            sent = acknowledged(port)
            lag = behind(data, sent) + 1.2
    print("| posts | req/s | vaix beside it | of that | at least |\n|---|---:|---:|---:|---:|")
    for kind, least in (("same visit", SAME_VISIT), ("first visit", FIRST_VISIT)):
        rate, vaix = (statistics.median(rates[kind, turn]) for turn in (kind, "vaix"))
        print(
            f"| one event, {kind} | {rate:,.0f} | {vaix:,.0f} | **{rate / vaix:.2f}** | {least} |"
        )
    rate = statistics.median(rates["many events", "many events"])
    print(
        f"| {BATCH} events, same visit | {rate:,.0f} | | **{rate * BATCH:,.0f}** events/s "
        f"| {BATCH_EVENTS:,} |"
    )
    print(f"\n- {CONNECTIONS} connections; answers other than 2xx: {refused}")
    print(
        f"- {arguments.profiles:,} profiles imported in {imported:.0f} s "
        f"({arguments.profiles / imported:,.0f}/s)"
    )
    print(
        f"- {sent:,} events acknowledged; the last one queryable {lag:.1f} s after the load ended"
    )


if __name__ == "__main__":
    main()
