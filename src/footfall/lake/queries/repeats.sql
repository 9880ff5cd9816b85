-- Rows of the staged batch ({staged}) whose client-given id was stored before: earlier in the batch, or within
-- the seven days before. `$since` is seven days before the batch, so that older days are not read.
-- A batch spans a day at most, so that within it an equal id is always a repeat.
SELECT row
FROM (
    SELECT rowid AS row, row_number() OVER (PARTITION BY source, event_id ORDER BY rowid) AS nth
    FROM {staged}
    WHERE client_id_given AND bad_line IS NULL
)
WHERE nth > 1
UNION
SELECT new.rowid
FROM {staged} AS new
JOIN client_ids AS known USING (source, event_id)
WHERE new.client_id_given AND new.bad_line IS NULL
  AND known.received_at >= make_timestamp($since)
  AND known.received_at > new.received_at - INTERVAL 7 DAYS
