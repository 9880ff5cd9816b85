-- One row per break that was decided for a session, from the events of its decision.
--
-- A session that expired begins anew under its id and may come to the same break again: that is
-- another row. What went wrong counts for the latest decision before it.
WITH read AS (
    SELECT
        source,
        session_id,
        type,
        occurred_at,
        from_json(
            properties,
            '{"service": "VARCHAR", "pod": "VARCHAR", "mode": "VARCHAR", "start_ms": "BIGINT",
              "planned_ms": "BIGINT", "filled_ms": "BIGINT", "slate_ms": "BIGINT",
              "offered": "INTEGER", "ads": "INTEGER", "outcome": "VARCHAR", "reason": "VARCHAR",
              "latency_ms": "DOUBLE", "calls": "INTEGER", "code": "INTEGER"}'
        ) AS said
    FROM events
    WHERE protocol = 'broadpeak' AND session_id IS NOT NULL AND type IN ('ad-break', 'ad-error')
),
told AS (
    SELECT * EXCLUDE (said), unnest(said)
    FROM read
),
dated AS (
    SELECT
        *,
        -- What is of the same moment as the decision counts for it (RANGE).
        max(occurred_at) FILTER (type = 'ad-break') OVER (
            PARTITION BY source, session_id, service, pod
            ORDER BY occurred_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS decided_at
    FROM told
),
failures AS (
    SELECT
        source,
        session_id,
        service,
        pod,
        decided_at,
        list(code ORDER BY occurred_at, code) AS errors
    FROM dated
    WHERE type = 'ad-error'
    GROUP BY ALL
)
SELECT
    source,
    service,
    session_id,
    pod,
    mode,
    CASE WHEN mode <> 'vod' THEN make_timestamp(start_ms * 1000) END AS starts_at,
    start_ms,
    decided_at,
    planned_ms,
    filled_ms,
    slate_ms,
    offered,
    ads,
    outcome,
    nullif(reason, '') AS reason,
    latency_ms,
    calls,
    CASE WHEN planned_ms > 0 THEN round(filled_ms / planned_ms, 4) END AS fill_rate,
    coalesce(errors, []) AS errors
FROM dated
LEFT JOIN failures USING (source, session_id, service, pod, decided_at)
WHERE type = 'ad-break'
