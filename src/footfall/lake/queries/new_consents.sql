-- Consents that the lines of `told` name, from `said`: [granted, until in microseconds or null].
-- What has another shape grants nothing and refuses nothing.
SELECT
    source,
    profile_id,
    name,
    (value ->> 0) = 'true' AS granted,
    CASE
        WHEN (value ->> 1) IS NOT NULL
        THEN make_timestamp(least(greatest(try_cast(value ->> 1 AS BIGINT), {first_year}), {last_year}))
    END AS until,
    type,
    event_id,
    occurred_at,
    received_at,
    partition,
    position,
    line
FROM said
JOIN told USING (row)
WHERE kind = 'consents'
  AND json_type(value, '$[0]') = 'BOOLEAN'
  AND (
      coalesce(json_type(value, '$[1]'), 'NULL') = 'NULL'
      OR (json_type(value, '$[1]') IN ('BIGINT', 'UBIGINT') AND try_cast(value ->> 1 AS BIGINT) IS NOT NULL)
  )
ORDER BY row
