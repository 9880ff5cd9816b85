-- One row per source, protocol and session id, from the events that carry it.
--
-- A view and not a table: late events, repeats, retention and erasure change events, and a session
-- that is counted when it is asked for can never disagree with them.
--
-- An event counts for the session of its own protocol. One that also carries the id of a live Jay
-- session (`properties.jay_session_id`) counts for that Jay session as well, whatever its
-- protocol: that is what Jay sessions are for.
WITH seen AS (
    SELECT * EXCLUDE (properties, context), protocol = 'jay' AND type = 'session_end' AS is_end
    FROM events
    WHERE session_id IS NOT NULL
    UNION ALL BY NAME
    SELECT * EXCLUDE (properties, context)
        REPLACE ('jay' AS protocol, (properties ->> '$.jay_session_id') AS session_id),
        false AS is_end
    FROM events
    -- The text is looked at before it is parsed; most events have no such key.
    WHERE contains(properties::VARCHAR, '"jay_session_id"')
      AND (properties ->> '$.jay_session_id') IS NOT NULL
      AND NOT (protocol = 'jay' AND session_id IS NOT DISTINCT FROM (properties ->> '$.jay_session_id'))
),
counted AS (
    SELECT
        source,
        protocol,
        session_id,
        arg_max(profile_id, occurred_at) AS profile_id,
        arg_max(user_id, occurred_at) AS user_id,
        min(occurred_at) AS started_at,
        coalesce(
            max(occurred_at) FILTER (is_end),
            max(occurred_at)
        ) AS ended_at,
        count(*) AS events,
        count(DISTINCT page) AS pages,
        arg_min(page, occurred_at) AS first_page,
        arg_max(page, occurred_at) AS last_page,
        arg_min(channel, occurred_at) AS channel,
        arg_min(brand, occurred_at) AS brand,
        arg_min(country, occurred_at) AS country,
        arg_min(device, occurred_at) AS device,
        arg_min(os, occurred_at) AS os,
        arg_min(browser, occurred_at) AS browser
    FROM seen
    GROUP BY source, protocol, session_id
)
SELECT
    source,
    protocol,
    session_id,
    profile_id,
    user_id,
    started_at,
    ended_at,
    greatest(date_diff('microsecond', started_at, ended_at), 0) / 1e6 AS duration_s,
    events,
    pages,
    first_page,
    last_page,
    channel,
    brand,
    country,
    device,
    os,
    browser
FROM counted
