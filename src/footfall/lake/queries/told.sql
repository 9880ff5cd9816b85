-- The staged lines ({staged}) that are taken ({taken}) and say something of their visit or their
-- profile, each with its place in its record. `profile_id` is whom the facts are about, also where
-- the event itself is kept without a name.
SELECT
    rowid AS row,
    row_number() OVER (PARTITION BY partition, position ORDER BY rowid) AS line,
    source,
    protocol,
    type,
    CASE WHEN NOT withheld THEN event_id END AS event_id,
    withheld,
    session_id,
    about AS profile_id,
    occurred_at,
    received_at,
    partition,
    position,
    facts
FROM {staged}
WHERE facts IS NOT NULL AND {taken}
