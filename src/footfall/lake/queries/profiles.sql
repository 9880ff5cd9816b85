-- One row per profile, from whatever is kept of it: events, visits, what was said of it.
--
-- A view and not a table, as `sessions` is. Ids that were taken over count for the profile that
-- took them over; sources of one identity group share their profiles, and by the protocol that
-- counts visits (tracardi) their sessions too.
WITH seen AS (
    SELECT
        source, profile_id, protocol, session_id, user_id, occurred_at,
        country, device, os, browser, true AS stored
    FROM events
    WHERE profile_id IS NOT NULL
    UNION ALL BY NAME
    SELECT source, profile_id, protocol, session_id, user_id, occurred_at
    FROM passing
    WHERE profile_id IS NOT NULL
    UNION ALL BY NAME
    SELECT source, profile_id, protocol, session_id, occurred_at
    FROM visits
    WHERE profile_id IS NOT NULL
    UNION ALL BY NAME
    SELECT source, profile_id, occurred_at FROM profile_traits
    UNION ALL BY NAME
    SELECT source, profile_id, occurred_at FROM profile_consents
    UNION ALL BY NAME
    SELECT source, profile_id, received_at AS occurred_at FROM profile_aliases
),
counted AS (
    SELECT
        coalesce(heirs.profile_id, seen.profile_id) AS profile_id,
        coalesce(identities.identity, source) AS identity,
        min(occurred_at) AS first_seen_at,
        max(occurred_at) AS last_seen_at,
        count(DISTINCT (
            CASE WHEN protocol = 'tracardi' THEN coalesce(identities.identity, source) ELSE source END,
            protocol,
            session_id
        )) FILTER (session_id IS NOT NULL) AS visits,
        count(stored) AS events,
        arg_max(user_id, occurred_at) AS user_id,
        arg_max(country, occurred_at) AS country,
        arg_max(device, occurred_at) AS device,
        arg_max(os, occurred_at) AS os,
        arg_max(browser, occurred_at) AS browser
    FROM seen
    LEFT JOIN identities USING (source)
    LEFT JOIN heirs
        ON heirs.identity = coalesce(identities.identity, source)
        AND heirs.alias = seen.profile_id
    GROUP BY ALL
),
aliased AS (
    SELECT identity, profile_id, list(alias ORDER BY alias) AS aliases
    FROM heirs
    WHERE alias <> profile_id
    GROUP BY ALL
),
latest_traits AS (
    SELECT
        coalesce(identities.identity, source) AS identity,
        coalesce(heirs.profile_id, said.profile_id) AS profile_id,
        name,
        arg_max(coalesce(value, 'null'), (partition, position, line)) AS value
    FROM profile_traits AS said
    LEFT JOIN identities USING (source)
    LEFT JOIN heirs
        ON heirs.identity = coalesce(identities.identity, source)
        AND heirs.alias = said.profile_id
    GROUP BY ALL
),
traits AS (
    SELECT
        identity,
        profile_id,
        to_json(map(list(name ORDER BY name), list(value ORDER BY name))) AS traits
    FROM latest_traits
    WHERE json_type(value) <> 'NULL'
    GROUP BY ALL
),
latest_consents AS (
    SELECT
        coalesce(identities.identity, source) AS identity,
        coalesce(heirs.profile_id, said.profile_id) AS profile_id,
        name,
        arg_max({'granted': granted, 'until': until}, (partition, position, line)) AS latest
    FROM profile_consents AS said
    LEFT JOIN identities USING (source)
    LEFT JOIN heirs
        ON heirs.identity = coalesce(identities.identity, source)
        AND heirs.alias = said.profile_id
    GROUP BY ALL
),
consents AS (
    SELECT
        identity,
        profile_id,
        to_json(map(list(name ORDER BY name), list(state ORDER BY name))) AS consents
    FROM (
        SELECT
            *,
            CASE
                WHEN NOT latest.granted THEN 'refused'
                WHEN latest.until <= now()::TIMESTAMP THEN 'expired'
                ELSE 'granted'
            END AS state
        FROM latest_consents
    )
    GROUP BY ALL
)
SELECT
    profile_id,
    identity AS source,
    first_seen_at,
    last_seen_at,
    visits,
    events,
    user_id,
    coalesce(aliases, []) AS aliases,
    consents,
    traits,
    country,
    device,
    os,
    browser
FROM counted
LEFT JOIN aliased USING (identity, profile_id)
LEFT JOIN consents USING (identity, profile_id)
LEFT JOIN traits USING (identity, profile_id)
