-- Of the closed sessions with a content start, how many played at least so many minutes of it, in
-- steps of {size}: for live content, and where no length was sent.
WITH closed AS (
    SELECT content_time_spent_s
    FROM media_sessions
    WHERE {where} AND state = 'closed' AND content_start
)
SELECT
    step * {size} AS reached,
    count(*) FILTER (WHERE content_time_spent_s >= step * {size} * 60) AS sessions
FROM closed, generate_series(0, {steps}) AS steps(step)
GROUP BY step
ORDER BY step
