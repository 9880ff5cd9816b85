-- Errors of the ad breaks that were decided from {start} up to, not including, {end} (microseconds
-- since 1970), by VAST code.
WITH coded AS (
    SELECT service, decided_at, session_id, pod, unnest(errors) AS code
    FROM ad_breaks
    WHERE {where}
        AND decided_at >= make_timestamp({start})
        AND decided_at < make_timestamp({end})
)
SELECT
    code,
    count(*) AS errors,
    count(DISTINCT (service, session_id, pod, decided_at)) AS breaks,
    list_sort(list(DISTINCT service))[:20] AS services,
    max(decided_at) AS newest_at
FROM coded
GROUP BY code
ORDER BY errors DESC, code
LIMIT {most}
