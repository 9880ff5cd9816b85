-- Events by source, by protocol, and by protocol and type: the {most} largest of each.
WITH counted AS (
    SELECT
        CASE grouping(source, type) WHEN 1 THEN 'source' WHEN 3 THEN 'protocol' ELSE 'type' END AS kind,
        source,
        protocol,
        type,
        count(*) AS events
    FROM events
    WHERE received_at >= make_timestamp({start}) AND received_at < make_timestamp({end})
    GROUP BY GROUPING SETS ((source), (protocol), (protocol, type))
)
SELECT kind, left(coalesce(type, source, protocol), 200) AS name, protocol, events
FROM counted
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY events DESC, name, protocol) <= {most}
ORDER BY kind, events DESC, name, protocol
