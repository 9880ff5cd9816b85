-- What became of the sessions that began from {start} up to, not including, {end} (microseconds
-- since 1970), and how many are open, whenever they began.
WITH wanted AS (
    SELECT
        *,
        started_at >= make_timestamp({start}) AND started_at < make_timestamp({end}) AS begun
    FROM media_sessions
    WHERE {where}
)
SELECT
    count(*) FILTER (WHERE state = 'open') AS open_sessions,
    count(*) FILTER (WHERE begun) AS media_starts,
    count(*) FILTER (WHERE begun AND content_start) AS content_starts,
    count(*) FILTER (WHERE begun AND content_complete) AS completes,
    count(*) FILTER (WHERE begun AND drop_before_start) AS drops_before_start,
    avg(content_time_spent_s) FILTER (WHERE begun AND content_start) AS average_content_time_s,
    count(*) FILTER (WHERE begun AND buffer_impacted) AS buffered,
    count(*) FILTER (WHERE begun AND error_impacted) AS failed
FROM wanted
WHERE begun OR state = 'open'
