-- Rows of the staged batch ({staged}) whose client-given id was stored before: earlier in the batch, or within
-- the seven days before. `$since` is seven days before the batch, so that older days are not read.
-- A batch spans a day at most, so that within it an equal id is always a repeat.
--
-- Of an event without consent only its id's digest is known; a repeat may come with consent, and
-- the other way round.
SELECT row
FROM (
    SELECT rowid AS row, row_number() OVER (PARTITION BY source, client_id ORDER BY rowid) AS nth
    FROM {staged}
    WHERE client_id IS NOT NULL AND bad_line IS NULL
)
WHERE nth > 1
UNION
SELECT new.row
FROM (
    SELECT rowid AS row, source, received_at, unnest([client_id, {digest}]) AS event_id
    FROM {staged}
    WHERE client_id IS NOT NULL AND bad_line IS NULL
) AS new
JOIN client_ids AS known USING (source, event_id)
WHERE known.received_at >= make_timestamp($since)
  AND known.received_at > new.received_at - INTERVAL 7 DAYS
