"""`docs/tables.md` from the tables: `python -m footfall.lake.reference > docs/tables.md`.

A test checks that the document is current. The prose stands here, beside nothing else.
"""

from __future__ import annotations

import sys

from footfall.lake.tables import TABLES, Table

HEAD = """\
# Tables

<!-- Made by `python -m footfall.lake.reference`; a test checks that it is current. -->

What `footfall query` and the console's SQL page can ask. One `SELECT` at a time, in
[DuckDB's SQL](https://duckdb.org/docs/stable/sql/introduction); also `WITH`, `VALUES`, `FROM`,
`DESCRIBE`, `SUMMARIZE` and `SHOW TABLES`. Files, settings and everything that changes something
are out of reach.

- Times are `TIMESTAMP` in UTC. Durations end in `_s` or `_ms`. As JSON and CSV, times are ISO 8601
  with a `Z`.
- `events` and `rejects` are kept by day of `received_at`. A query that names the days it wants,
  `WHERE received_at >= '2026-01-01'`, reads those days only.
- An id is unique within its source and protocol only: join and count by all three.
- An event can be queried within two seconds of its acknowledgement.
- The tables of media sessions hold open sessions too, as of now (`state = 'open'`); a closed row
  never changes.
- `ad_breaks` and `ads` are made of the events of stream services (protocol `broadpeak`). What
  clients report themselves nobody tells us: the counts are NULL then, not 0.
- Values in `properties` and `context` are reached with `->>`: `properties ->> '$.product.id'`.
  Put it in parentheses beside other operators; it binds weakly.
- Retention deletes whole days: with `retention_days = 30` a row goes at the end of the day, in
  UTC, on which it becomes 30 days old. Rejects whose key named no source go after 30 days.
  `visits` and what was said of profiles (`profile_traits`, `profile_consents`, `profile_aliases`)
  stay: they are what is left of people whose events are gone. `footfall forget` deletes them.
- Of an event without consent `user_id`, `profile_id`, `session_id`, `ip`, `properties` and
  `context` are NULL, its `page` ends before the query, and an id of the client's is replaced.
- `profile_id` in `events` and `visits` is what the profile was called then; in `profiles` and
  `sessions` it is the profile that has taken it over by now. Sources of one identity group share
  their profiles, and `profiles.source` is then the group; `identities` says which it is.
  Their sessions of tracardi are shared too: one that goes on at another source has a row of each in
  `sessions`, with the same `visit`, and counts as one visit.
- A name with a dot is put in quotes: `traits ->> '$."email.main"'`.
- An event id that the client gave is remembered for 7 days per source; a repeat within them is
  not stored.

## Examples

```sql
-- Events by day and type
SELECT received_at::DATE AS day, type, count(*) AS events
FROM events WHERE received_at >= now() - INTERVAL 7 DAYS
GROUP BY ALL ORDER BY day, events DESC;

-- The longest sessions of yesterday
SELECT * FROM sessions
WHERE started_at::DATE = current_date - 1
ORDER BY duration_s DESC LIMIT 20;

-- How much of each film was watched, sessions that run now included
SELECT media_id, count(*) AS sessions, count(*) FILTER (state = 'open') AS now,
       sum(content_time_spent_s) / 3600 AS hours,
       avg(average_minute_audience) AS average_minute_audience,
       count(*) FILTER (content_complete) / count(*) FILTER (content_start) AS completion
FROM media_sessions WHERE started_at >= now() - INTERVAL 1 DAY
GROUP BY ALL ORDER BY hours DESC;

-- Concurrent viewers by minute, of the last hour
SELECT make_timestamp(minute * 60000000) AS minute, count(DISTINCT viewer_id) AS viewers
FROM (SELECT viewer_id, unnest(active_minutes) AS span FROM media_sessions
      WHERE ended_at >= now() - INTERVAL 1 HOUR),
     unnest(generate_series(span[1], span[2])) AS minutes(minute)
GROUP BY ALL ORDER BY minute;

-- How ad breaks were filled and ads watched, by service and day
SELECT service, decided_at::DATE AS day, count(*) AS breaks,
       sum(filled_ms) / sum(planned_ms) AS fill_rate, median(latency_ms) AS latency_ms
FROM ad_breaks WHERE planned_ms > 0 GROUP BY ALL ORDER BY day DESC, service;

SELECT ad_id, any_value(title) AS title, sum(impressions) AS impressions,
       sum(completes) / sum(impressions) AS completion
FROM ads WHERE tracking = 'server' GROUP BY ALL ORDER BY impressions DESC;

-- How often people came back, of those that were seen this week
SELECT least(visits, 10) AS visits, count(*) AS profiles
FROM profiles WHERE last_seen_at >= now() - INTERVAL 7 DAYS
GROUP BY ALL ORDER BY visits;

-- What became of a consent, by day
SELECT occurred_at::DATE AS day, count(*) FILTER (granted) AS granted,
       count(*) FILTER (NOT granted) AS refused
FROM profile_consents WHERE name = 'marketing'
GROUP BY ALL ORDER BY day;

-- Why requests were refused today
SELECT source, protocol, reason, count(*) AS requests, any_value(detail) AS example
FROM rejects WHERE received_at >= current_date
GROUP BY ALL ORDER BY requests DESC;
```
"""


def section(table: Table) -> str:
    """One table as Markdown."""
    kind = "View" if table.view else "Table"
    lines = [f"\n## {table.name}\n", f"{kind}. {table.help}\n", "| column | type | unit | |"]
    lines.append("|---|---|---|---|")
    lines += [
        f"| `{column.name}` | `{column.type}` | {column.unit} | {column.help} |"
        for column in table.columns
    ]
    return "\n".join(lines) + "\n"


def document() -> str:
    """The whole of `docs/tables.md`."""
    return HEAD + "".join(section(table) for table in TABLES)


if __name__ == "__main__":
    sys.stdout.write(document())
