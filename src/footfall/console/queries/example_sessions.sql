SELECT source, protocol, session_id, user_id, started_at, duration_s, events, pages
FROM sessions
WHERE started_at >= current_date
ORDER BY duration_s DESC
LIMIT 50
