-- Media sessions with what a line shows of them, texts cut one character after {characters}.
SELECT
    source,
    session_id,
    state,
    playback,
    started_at,
    ended_at,
    left(media_id, {characters} + 1) AS media_id,
    left(media_name, {characters} + 1) AS media_name,
    left(content_type, {characters} + 1) AS content_type,
    length_s,
    left(viewer_id, {characters} + 1) AS viewer_id,
    left(device, {characters} + 1) AS device,
    content_start,
    content_complete,
    content_time_spent_s,
    ad_time_spent_s,
    playhead_s,
    progress_markers,
    errors,
    ignored_events,
    len(hints) AS hint_count,
    {keys}
FROM media_sessions
WHERE {where}
ORDER BY {order}
LIMIT {limit}
