-- Events by bin of time, from {start} up to, not including, {end} (microseconds since 1970).
SELECT (epoch_us(received_at) - {start}) // {bin} AS bin, count(*) AS events
FROM events
WHERE received_at >= make_timestamp({start}) AND received_at < make_timestamp({end})
GROUP BY bin
ORDER BY bin
