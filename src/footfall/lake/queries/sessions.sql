-- One row per source, protocol and session id, from the events that carry it.
--
-- A view and not a table: late events, repeats, retention and erasure change events, and a session
-- that is counted when it is asked for can never disagree with them.
--
-- An event counts for the session of its own protocol. One that also carries the id of a live Jay
-- session (`properties.jay_session_id`) counts for that Jay session as well, whatever its
-- protocol: that is what Jay sessions are for. Events that were not to be stored (`passing`) have
-- a say in when a session began and ended and whose it is.
WITH seen AS (
    SELECT
        * EXCLUDE (properties, context),
        protocol = 'jay' AND type = 'session_end' AS is_end,
        true AS stored
    FROM events
    WHERE session_id IS NOT NULL
    UNION ALL BY NAME
    SELECT * EXCLUDE (properties, context)
        REPLACE ('jay' AS protocol, (properties ->> '$.jay_session_id') AS session_id),
        false AS is_end,
        true AS stored
    FROM events
    -- The text is looked at before it is parsed; most events have no such key.
    WHERE contains(properties::VARCHAR, '"jay_session_id"')
      AND (properties ->> '$.jay_session_id') IS NOT NULL
      AND NOT (protocol = 'jay' AND session_id IS NOT DISTINCT FROM (properties ->> '$.jay_session_id'))
    UNION ALL BY NAME
    SELECT source, protocol, type, session_id, profile_id, user_id, occurred_at, false AS is_end
    FROM passing
    WHERE session_id IS NOT NULL
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
        count(stored) AS events,
        count(DISTINCT page) AS pages,
        arg_min(page, occurred_at) AS first_page,
        arg_max(page, occurred_at) AS last_page,
        arg_min(channel, occurred_at) AS channel,
        arg_min(brand, occurred_at) AS brand,
        arg_min(country, occurred_at) AS country,
        arg_min(device, occurred_at) AS device,
        arg_min(os, occurred_at) AS os,
        arg_min(browser, occurred_at) AS browser,
        -- CASE looks at the types of this one protocol only; FILTER takes twice the time.
        max(
            CASE
                WHEN protocol = 'tracardi' AND lower(type) IN ('visit-ended', 'visit ended')
                THEN occurred_at
            END
        ) AS visit_ended_at
    FROM seen
    GROUP BY source, protocol, session_id
),
-- A visit is its identity group's: the session may go on at any source of it.
owned AS (
    SELECT
        identities.identity,
        protocol,
        session_id,
        coalesce(heirs.profile_id, visits.profile_id) AS profile_id,
        min(occurred_at) AS began_at
    FROM visits
    JOIN identities USING (source)
    LEFT JOIN heirs ON heirs.identity = identities.identity AND heirs.alias = visits.profile_id
    WHERE visits.profile_id IS NOT NULL
    GROUP BY ALL
),
numbered AS (
    SELECT identity, protocol, session_id, arg_max(number, began_at) AS visit
    FROM (
        SELECT
            *,
            row_number() OVER (
                PARTITION BY identity, profile_id ORDER BY began_at, session_id
            ) AS number
        FROM owned
    )
    GROUP BY identity, protocol, session_id
),
contexts AS (
    SELECT
        source,
        protocol,
        session_id,
        list(context ORDER BY partition, position) FILTER (context IS NOT NULL) AS contexts,
        list(properties ORDER BY partition, position) FILTER (properties IS NOT NULL) AS properties
    FROM session_contexts
    GROUP BY source, protocol, session_id
)
SELECT
    source,
    counted.protocol,
    counted.session_id,
    coalesce(heirs.profile_id, counted.profile_id) AS profile_id,
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
    browser,
    CASE
        WHEN counted.protocol <> 'tracardi' THEN NULL
        WHEN visit_ended_at >= ended_at THEN 'ended'
        ELSE 'active'
    END AS status,
    visit,
    -- Key by key, what came later over what came before.
    CASE
        WHEN len(contexts) = 1 THEN contexts[1]
        ELSE to_json(list_reduce(
            list_transform(contexts, lambda one: json_transform(one, '"MAP(VARCHAR, JSON)"')),
            lambda merged, later: map_concat(merged, later)
        ))
    END AS context,
    CASE
        WHEN len(properties) = 1 THEN properties[1]
        ELSE to_json(list_reduce(
            list_transform(properties, lambda one: json_transform(one, '"MAP(VARCHAR, JSON)"')),
            lambda merged, later: map_concat(merged, later)
        ))
    END AS properties
FROM counted
LEFT JOIN identities USING (source)
LEFT JOIN heirs
    ON heirs.identity = coalesce(identities.identity, source)
    AND heirs.alias = counted.profile_id
LEFT JOIN numbered
    ON numbered.identity = identities.identity
    AND numbered.protocol = counted.protocol
    AND numbered.session_id = counted.session_id
LEFT JOIN contexts
    ON contexts.source = counted.source
    AND contexts.protocol = counted.protocol
    AND contexts.session_id = counted.session_id
