SELECT received_at::DATE AS day, protocol, type, count(*) AS events
FROM events
WHERE received_at >= now() - INTERVAL 7 DAYS
GROUP BY ALL
ORDER BY day DESC, events DESC
