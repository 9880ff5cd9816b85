-- Context and properties that the lines of `told` give their sessions: one row per session, key by
-- key, a later line's value over an earlier one's. An object in which a name stands twice, which no
-- map can hold, is passed over.
WITH given AS (
    SELECT
        source,
        protocol,
        session_id,
        row,
        received_at,
        partition,
        position,
        facts -> '$.context' AS context,
        facts -> '$.properties' AS properties
    FROM told
    WHERE session_id IS NOT NULL AND NOT withheld
),
mapped AS (
    SELECT
        * EXCLUDE (context, properties),
        CASE
            WHEN json_type(context) = 'OBJECT' AND len(json_keys(context)) = len(list_distinct(json_keys(context)))
            THEN json_transform(context, '"MAP(VARCHAR, JSON)"')
        END AS context,
        CASE
            WHEN json_type(properties) = 'OBJECT' AND len(json_keys(properties)) = len(list_distinct(json_keys(properties)))
            THEN json_transform(properties, '"MAP(VARCHAR, JSON)"')
        END AS properties
    FROM given
),
listed AS (
    SELECT
        source,
        protocol,
        session_id,
        list(context ORDER BY row) FILTER (context IS NOT NULL) AS contexts,
        list(properties ORDER BY row) FILTER (properties IS NOT NULL) AS properties,
        max(received_at) AS received_at,
        any_value(partition) AS partition,
        max(position) AS position
    FROM mapped
    WHERE context IS NOT NULL OR properties IS NOT NULL
    GROUP BY source, protocol, session_id
)
SELECT
    source,
    protocol,
    session_id,
    to_json(list_reduce(contexts, lambda merged, later: map_concat(merged, later))) AS context,
    to_json(list_reduce(properties, lambda merged, later: map_concat(merged, later))) AS properties,
    received_at,
    partition,
    position
FROM listed
