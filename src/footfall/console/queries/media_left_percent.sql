-- Of the closed sessions with a content start, how many left at or after each {size} per cent of
-- the length, by the playhead of their last event. One that completed has seen all of it.
WITH closed AS (
    SELECT
        content_complete,
        playhead_s,
        CASE WHEN length_s > 0 THEN length_s ELSE {length_s} END AS length_s
    FROM media_sessions
    WHERE {where} AND state = 'closed' AND content_start
)
SELECT
    step * {size} AS reached,
    count(*) FILTER (WHERE content_complete OR playhead_s * 100 >= length_s * step * {size}) AS sessions
FROM closed, generate_series(0, {steps}) AS steps(step)
GROUP BY step
ORDER BY step
