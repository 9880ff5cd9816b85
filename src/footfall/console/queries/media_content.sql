-- One content: its sessions, and how many of those with a content start came how far.
SELECT
    left(arg_max(media_name, started_at), {characters} + 1) AS media_name,
    mode(length_s) FILTER (WHERE length_s > 0) AS length_s,
    count(*) AS sessions,
    count(*) FILTER (WHERE state = 'open') AS open_sessions,
    count(*) FILTER (WHERE content_start) AS content_starts,
    count(*) FILTER (WHERE content_start AND content_complete) AS completes,
    count(*) FILTER (WHERE content_start AND list_contains(progress_markers, 10)) AS reached_10,
    count(*) FILTER (WHERE content_start AND list_contains(progress_markers, 25)) AS reached_25,
    count(*) FILTER (WHERE content_start AND list_contains(progress_markers, 50)) AS reached_50,
    count(*) FILTER (WHERE content_start AND list_contains(progress_markers, 75)) AS reached_75,
    count(*) FILTER (WHERE content_start AND list_contains(progress_markers, 95)) AS reached_95,
    max(content_time_spent_s) FILTER (WHERE content_start AND state = 'closed') AS longest_s
FROM media_sessions
WHERE {where}
