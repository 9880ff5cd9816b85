-- One row per ad that was placed, from the events of its decision and what came of it.
--
-- What came later counts for the latest decision before it: a session that expired begins anew
-- under its id, and may come to the same break again.
WITH read AS (
    SELECT
        source,
        session_id,
        type,
        occurred_at,
        from_json(
            properties,
            '{"service": "VARCHAR", "pod": "VARCHAR", "mode": "VARCHAR", "position": "INTEGER",
              "ad_id": "VARCHAR", "creative_id": "VARCHAR", "title": "VARCHAR",
              "advertiser": "VARCHAR", "start_ms": "BIGINT", "duration_ms": "BIGINT",
              "tracking": "VARCHAR", "trackers": "JSON", "code": "INTEGER",
              "segment": "INTEGER", "of": "INTEGER",
              "number": "INTEGER", "beacon": "VARCHAR", "outcome": "VARCHAR"}'
        ) AS said
    FROM events
    WHERE protocol = 'broadpeak'
      AND session_id IS NOT NULL
      AND type IN ('ad', 'ad-error', 'ad-segment', 'beacon-due', 'beacon')
),
told AS (
    SELECT * EXCLUDE (said), unnest(said)
    FROM read
),
dated AS (
    SELECT
        *,
        -- What is of the same moment as the decision counts for it (RANGE).
        max(occurred_at) FILTER (type = 'ad') OVER (
            PARTITION BY source, session_id, service, pod
            ORDER BY occurred_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS decided_at
    FROM told
),
-- By address: whether it was called, and since when it should have been.
calls AS (
    SELECT
        source,
        session_id,
        service,
        pod,
        position,
        decided_at,
        number,
        any_value(lower(beacon)) AS kind,
        bool_or(type = 'beacon' AND outcome = 'sent') AS sent,
        bool_or(type = 'beacon' AND outcome = 'uncertain') AS unsure,
        bool_or(type = 'beacon') AS answered,
        min(occurred_at) AS due_at
    FROM dated
    WHERE type IN ('beacon-due', 'beacon')
    GROUP BY ALL
),
reported AS (
    SELECT
        source,
        session_id,
        service,
        pod,
        position,
        decided_at,
        list(DISTINCT kind) FILTER (sent) AS kinds,
        count_if(
            unsure OR (NOT answered AND due_at < now()::TIMESTAMP - INTERVAL 1 MINUTE)
        )::INTEGER AS uncertain
    FROM calls
    GROUP BY ALL
),
asked AS (
    SELECT
        source,
        session_id,
        service,
        pod,
        position,
        decided_at,
        count(DISTINCT segment)::INTEGER AS segments_requested,
        max("of") AS segments
    FROM dated
    WHERE type = 'ad-segment'
    GROUP BY ALL
),
-- An error names its ad, not its place: an ad that stands twice in a break has it twice.
failures AS (
    SELECT
        source,
        session_id,
        service,
        pod,
        ad_id,
        decided_at,
        list(code ORDER BY occurred_at, code) AS errors
    FROM dated
    WHERE type = 'ad-error'
    GROUP BY ALL
),
placed AS (
    SELECT
        *,
        -- What can be counted: what some address wants to hear, and the server tells.
        CASE
            WHEN tracking = 'server'
            THEN list_transform(json_keys(trackers), lambda name: lower(name))
        END AS wanted
    FROM dated
    WHERE type = 'ad'
),
counted AS (
    SELECT
        * EXCLUDE (segments_requested, uncertain, kinds),
        CASE WHEN tracking = 'server' THEN coalesce(segments_requested, 0) END AS segments_requested,
        CASE WHEN tracking = 'server' THEN coalesce(uncertain, 0) END AS uncertain,
        coalesce(kinds, []) AS kinds
    FROM placed
    LEFT JOIN reported USING (source, session_id, service, pod, position, decided_at)
    LEFT JOIN asked USING (source, session_id, service, pod, position, decided_at)
    LEFT JOIN failures USING (source, session_id, service, pod, ad_id, decided_at)
)
SELECT
    source,
    service,
    session_id,
    pod,
    position,
    ad_id,
    nullif(creative_id, '') AS creative_id,
    nullif(title, '') AS title,
    nullif(advertiser, '') AS advertiser,
    mode,
    CASE WHEN mode <> 'vod' THEN make_timestamp(start_ms * 1000) END AS starts_at,
    start_ms,
    decided_at,
    duration_ms,
    tracking,
    CASE WHEN list_contains(wanted, 'impression') THEN list_contains(kinds, 'impression')::INTEGER END AS impressions,
    CASE WHEN list_contains(wanted, 'start') THEN list_contains(kinds, 'start')::INTEGER END AS started,
    CASE WHEN list_contains(wanted, 'firstquartile') THEN list_contains(kinds, 'firstquartile')::INTEGER END AS first_quartiles,
    CASE WHEN list_contains(wanted, 'midpoint') THEN list_contains(kinds, 'midpoint')::INTEGER END AS midpoints,
    CASE WHEN list_contains(wanted, 'thirdquartile') THEN list_contains(kinds, 'thirdquartile')::INTEGER END AS third_quartiles,
    CASE WHEN list_contains(wanted, 'complete') THEN list_contains(kinds, 'complete')::INTEGER END AS completes,
    segments_requested,
    segments,
    coalesce(errors, []) AS errors,
    uncertain
FROM counted
