-- What came of the ad breaks that were decided from {start} up to, not including, {end}
-- (microseconds since 1970): first all together, then by service and day, the latest first.
WITH breaks_found AS (
    SELECT
        source,
        service,
        decided_at::DATE AS day,
        count(*) AS breaks,
        count(*) FILTER (outcome = 'filled') AS filled,
        count(*) FILTER (outcome = 'partial') AS partial,
        count(*) FILTER (outcome = 'empty') AS empty,
        count(*) FILTER (outcome = 'failed') AS failed,
        count(*) FILTER (outcome = 'lost') AS lost,
        coalesce(sum(planned_ms) FILTER (planned_ms > 0), 0)::BIGINT AS planned_ms,
        coalesce(sum(filled_ms) FILTER (planned_ms > 0), 0)::BIGINT AS filled_ms,
        coalesce(sum(offered), 0)::BIGINT AS offered,
        coalesce(sum(ads), 0)::BIGINT AS ads,
        coalesce(sum(len(errors)), 0)::BIGINT AS errors,
        round(quantile_cont(latency_ms, 0.5), 1) AS latency_ms,
        round(quantile_cont(latency_ms, 0.95), 1) AS latency_p95_ms
    FROM ad_breaks
    WHERE {where}
        AND decided_at >= make_timestamp({start})
        AND decided_at < make_timestamp({end})
    GROUP BY GROUPING SETS ((), (source, service, day))
),
ads_found AS (
    SELECT
        source,
        service,
        decided_at::DATE AS day,
        sum(impressions)::BIGINT AS impressions,
        sum(completes)::BIGINT AS completes,
        sum(completes) FILTER (impressions IS NOT NULL)::BIGINT AS completed,
        sum(impressions) FILTER (completes IS NOT NULL)::BIGINT AS completable,
        sum(uncertain)::BIGINT AS uncertain
    FROM ads
    WHERE {where}
        AND decided_at >= make_timestamp({start})
        AND decided_at < make_timestamp({end})
    GROUP BY GROUPING SETS ((), (source, service, day))
)
SELECT breaks_found.*, impressions, completes, completed, completable, uncertain
FROM breaks_found
LEFT JOIN ads_found
    ON breaks_found.source IS NOT DISTINCT FROM ads_found.source
    AND breaks_found.service IS NOT DISTINCT FROM ads_found.service
    AND breaks_found.day IS NOT DISTINCT FROM ads_found.day
ORDER BY breaks_found.day DESC NULLS FIRST, breaks_found.source, breaks_found.service
LIMIT {most} + 1
