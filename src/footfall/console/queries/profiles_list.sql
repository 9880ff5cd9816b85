-- Profiles with what a line shows of them, texts cut one character after {characters}. First the
-- few that are wanted are found by when they were seen, then the rest is looked up of those alone:
-- the view `profiles` works all of it out for everybody, which takes ten times as long.
WITH RECURSIVE {heirs},
{said},
seen AS (
    SELECT
        source,
        profile_id,
        min(occurred_at) AS first_at,
        max(occurred_at) AS last_at,
        bool_or({within}) AS is_within
    FROM said
    GROUP BY ALL
),
profile AS (
    SELECT
        coalesce(belonging.identity, source) AS source,
        coalesce(heir.profile_id, seen.profile_id) AS profile_id,
        min(first_at) AS first_seen_at,
        max(last_at) AS last_seen_at,
        bool_or(is_within) AS is_within
    FROM seen
    LEFT JOIN belonging USING (source)
    LEFT JOIN heir
        ON heir.identity = coalesce(belonging.identity, source) AND heir.alias = seen.profile_id
    GROUP BY ALL
),
named AS (
    SELECT DISTINCT
        coalesce(belonging.identity, source) AS source,
        coalesce(heir.profile_id, users.profile_id) AS profile_id
    FROM (SELECT source, profile_id FROM events WHERE user_id = {id}) AS users
    LEFT JOIN belonging USING (source)
    LEFT JOIN heir
        ON heir.identity = coalesce(belonging.identity, source) AND heir.alias = users.profile_id
    UNION
    SELECT identity, profile_id FROM heir WHERE alias = {id}
),
wanted AS MATERIALIZED (
    SELECT * FROM profile WHERE {where} ORDER BY {order} LIMIT {limit}
),
member AS MATERIALIZED (
    SELECT source AS identity, profile_id, profile_id AS id FROM wanted
    UNION ALL
    SELECT heir.identity, heir.profile_id, heir.alias
    FROM heir
    JOIN wanted ON wanted.source = heir.identity AND wanted.profile_id = heir.profile_id
),
happened AS (
    SELECT
        source, profile_id AS id, protocol, session_id, user_id, occurred_at,
        country, device, os, browser, true AS stored
    FROM events
    WHERE profile_id IN (SELECT id FROM member)
    UNION ALL BY NAME
    SELECT source, profile_id AS id, protocol, session_id, occurred_at
    FROM visits
    WHERE profile_id IN (SELECT id FROM member)
),
counted AS (
    SELECT
        member.identity AS source,
        member.profile_id,
        -- As in the view `profiles`: sessions of tracardi are the identity group's.
        count(DISTINCT (
            CASE WHEN protocol = 'tracardi' THEN member.identity ELSE happened.source END,
            protocol,
            session_id
        )) FILTER (session_id IS NOT NULL) AS visits,
        count(stored) AS events,
        arg_max(user_id, occurred_at) AS user_id,
        arg_max(country, occurred_at) AS country,
        arg_max(device, occurred_at) AS device,
        arg_max(os, occurred_at) AS os,
        arg_max(browser, occurred_at) AS browser
    FROM happened
    LEFT JOIN belonging USING (source)
    JOIN member USING (id)
    WHERE member.identity = coalesce(belonging.identity, happened.source)
    GROUP BY ALL
),
latest AS (
    SELECT
        member.identity AS source,
        member.profile_id,
        name,
        arg_max(
            CASE
                WHEN NOT granted THEN 'refused'
                WHEN until <= make_timestamp({now}) THEN 'expired'
                ELSE 'granted'
            END,
            (partition, position, line)
        ) AS state
    FROM profile_consents
    LEFT JOIN belonging USING (source)
    JOIN member ON member.id = profile_consents.profile_id
    WHERE member.identity = coalesce(belonging.identity, profile_consents.source)
    GROUP BY ALL
),
consented AS (
    SELECT
        source,
        profile_id,
        to_json(map(
            list(left(name, 200) || CASE WHEN length(name) > 200 THEN '…' ELSE '' END ORDER BY name),
            list(state ORDER BY name)
        )) AS consents
    FROM (
        SELECT DISTINCT ON (source, profile_id, left(name, 200)) *
        FROM latest
        QUALIFY row_number() OVER (PARTITION BY source, profile_id ORDER BY name) <= {most}
    )
    GROUP BY ALL
),
aliased AS (
    SELECT
        identity AS source,
        profile_id,
        list(left(id, {characters}) ORDER BY id)[:{most}] AS aliases
    FROM member
    WHERE id <> profile_id
    GROUP BY ALL
)
SELECT
    left(profile_id, {characters} + 1) AS profile_id,
    source,
    first_seen_at,
    last_seen_at,
    coalesce(visits, 0) AS visits,
    coalesce(events, 0) AS events,
    left(user_id, {characters} + 1) AS user_id,
    coalesce(aliases, []) AS aliases,
    consents,
    left(country, {characters} + 1) AS country,
    left(device, {characters} + 1) AS device,
    left(os, {characters} + 1) AS os,
    left(browser, {characters} + 1) AS browser,
    {keys}
FROM wanted
LEFT JOIN counted USING (source, profile_id)
LEFT JOIN consented USING (source, profile_id)
LEFT JOIN aliased USING (source, profile_id)
ORDER BY {order}
