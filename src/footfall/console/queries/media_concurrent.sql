-- Distinct viewers by minute, from minute {first} to minute {last} since 1970, both included.
-- A viewer's id is unique within its source only.
WITH stretches AS (
    SELECT source, viewer_id, unnest(active_minutes) AS stretch
    FROM media_sessions
    WHERE {where}
        AND ended_at >= make_timestamp({start})
        AND len(active_minutes) > 0
),
minutes AS (
    SELECT DISTINCT
        source,
        viewer_id,
        unnest(generate_series(greatest(stretch[1], {first}), least(stretch[2], {last}))) AS minute
    FROM stretches
    WHERE stretch[1] <= {last} AND stretch[2] >= {first}
)
SELECT minute, count(*) AS viewers
FROM minutes
GROUP BY minute
ORDER BY minute
