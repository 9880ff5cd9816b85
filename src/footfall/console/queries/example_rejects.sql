SELECT source, protocol, reason, count(*) AS requests, any_value(detail) AS example
FROM rejects
WHERE received_at >= current_date
GROUP BY ALL
ORDER BY requests DESC
