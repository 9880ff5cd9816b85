-- Which profile an id that was taken over stands for by now: the one at the end of its chain.
--
-- UNION, which forgets what it has seen, ends on circles too. Nothing ours writes makes one; the
-- ids of a circle all stand for the least of them.
WITH RECURSIVE step AS (
    SELECT
        coalesce(identity, source) AS identity,
        alias,
        arg_max(profile_id, (partition, position, line)) AS profile_id
    FROM profile_aliases
    LEFT JOIN identities USING (source)
    GROUP BY ALL
),
walk AS (
    SELECT identity, alias, profile_id FROM step
    UNION
    SELECT walk.identity, walk.alias, step.profile_id
    FROM walk
    JOIN step ON step.identity = walk.identity AND step.alias = walk.profile_id
),
passed AS (
    SELECT
        walk.*,
        step.alias IS NULL AS is_end,
        circle.alias IS NOT NULL AS is_circle
    FROM walk
    LEFT JOIN step ON step.identity = walk.identity AND step.alias = walk.profile_id
    LEFT JOIN (SELECT identity, alias FROM walk WHERE alias = profile_id) AS circle
        ON circle.identity = walk.identity AND circle.alias = walk.profile_id
)
SELECT
    identity,
    alias,
    coalesce(
        min(profile_id) FILTER (is_end),
        min(profile_id) FILTER (is_circle)
    ) AS profile_id
FROM passed
GROUP BY identity, alias
