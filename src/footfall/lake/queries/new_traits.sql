-- Traits that the lines of `told` name, from `said`.
SELECT
    source,
    profile_id,
    name,
    value,
    type,
    event_id,
    occurred_at,
    received_at,
    partition,
    position,
    line
FROM said
JOIN told USING (row)
WHERE kind = 'traits'
ORDER BY row
