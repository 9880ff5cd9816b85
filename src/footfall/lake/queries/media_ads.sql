-- What is closed stands in the lake; what is open is put into memory before it is asked for.
SELECT * EXCLUDE (received_at, partition, position) FROM media_ads_closed
UNION ALL BY NAME
SELECT * FROM memory.main.media_ads_open
