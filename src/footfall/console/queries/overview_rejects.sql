-- Rejects by protocol and reason, with the newest of each as an example.
SELECT
    protocol,
    reason,
    count(*) AS rejects,
    max(received_at) AS newest_at,
    left(arg_max(detail, received_at), 500) AS detail
FROM rejects
WHERE received_at >= make_timestamp({start}) AND received_at < make_timestamp({end})
GROUP BY protocol, reason
ORDER BY rejects DESC, protocol, reason
LIMIT 500
