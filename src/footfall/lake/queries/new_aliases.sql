-- Profiles that were taken over by those of the lines of `told`, from `said`.
SELECT
    source,
    name AS alias,
    profile_id,
    value ->> '$' AS reason,
    event_id,
    received_at,
    partition,
    position,
    line
FROM said
JOIN told USING (row)
WHERE kind = 'aliases' AND name <> profile_id
ORDER BY row
