-- Visits that began in the lines of `told`.
SELECT
    source,
    coalesce(facts ->> '$.identity', source) AS identity,
    protocol,
    facts ->> '$.visit' AS session_id,
    profile_id,
    occurred_at,
    received_at,
    partition,
    position
FROM told
WHERE json_type(facts, '$.visit') = 'VARCHAR' AND NOT withheld
