-- Who was seen from {start} up to, not including, {end} (microseconds since 1970): how many by bin
-- of {bin}, how many of them for the first time, and once, without a bin, what they came to together.
-- The bins that somebody was seen in are the bits of a number: so everything is read once.
WITH RECURSIVE {heirs},
{said},
seen AS (
    SELECT
        source,
        profile_id,
        min(occurred_at) AS first_at,
        -- A number of places is looked at before the filter, so it is never out of range.
        bit_or(
            1::BIGINT << least(greatest((epoch_us(occurred_at) - {start}) // {bin}, 0), {bins})
        ) FILTER (
            occurred_at >= make_timestamp({start}) AND occurred_at < make_timestamp({end})
        ) AS bins
    FROM said
    GROUP BY ALL
),
person AS (
    SELECT
        source,
        seen.profile_id,
        hash(
            coalesce(belonging.identity, source),
            coalesce(heir.profile_id, seen.profile_id)
        ) AS person,
        first_at,
        bins
    FROM seen
    LEFT JOIN belonging USING (source)
    LEFT JOIN heir
        ON heir.identity = coalesce(belonging.identity, source) AND heir.alias = seen.profile_id
    WHERE coalesce(belonging.identity, source) {identity}
),
profile AS MATERIALIZED (
    SELECT
        person,
        (epoch_us(min(first_at)) - {start}) // {bin} AS first_bin,
        bit_or(bins) AS bins
    FROM person
    GROUP BY person
    HAVING bit_or(bins) IS NOT NULL
),
granted AS (
    SELECT DISTINCT person
    FROM (
        SELECT
            person,
            name,
            arg_max(
                granted AND coalesce(until > make_timestamp({now}), true),
                (partition, position, line)
            ) AS holds
        FROM profile_consents
        JOIN person USING (source, profile_id)
        GROUP BY ALL
    )
    WHERE holds
)
SELECT
    bin,
    count(*) FILTER (bins & (1::BIGINT << bin) <> 0) AS profiles,
    count(*) FILTER (first_bin = bin) AS new_profiles,
    0 AS visits,
    0 AS with_consent
FROM profile, range({bins}) AS every(bin)
GROUP BY bin
UNION ALL
SELECT
    NULL,
    count(*),
    count(*) FILTER (first_bin >= 0),
    (
        SELECT count(DISTINCT hash(
            CASE WHEN protocol = 'tracardi' THEN coalesce(belonging.identity, source) ELSE source END,
            protocol,
            session_id
        ))
        FROM said
        LEFT JOIN belonging USING (source)
        WHERE session_id IS NOT NULL
            AND occurred_at >= make_timestamp({start}) AND occurred_at < make_timestamp({end})
            AND coalesce(belonging.identity, source) {identity}
    ),
    count(granted.person)
FROM profile
LEFT JOIN granted USING (person)
