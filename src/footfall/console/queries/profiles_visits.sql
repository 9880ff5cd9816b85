-- The sessions of one profile, the newest first: those of its events, and those whose events are gone.
WITH RECURSIVE {heirs},
{said}
SELECT source, protocol, session_id, min(occurred_at) AS started_at
FROM said
WHERE session_id IS NOT NULL AND {where}
GROUP BY source, protocol, session_id
ORDER BY started_at DESC, source, protocol, session_id
