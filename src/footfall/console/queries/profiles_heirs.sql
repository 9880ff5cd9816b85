-- What questions about profiles begin with: whose profiles a source's are, and which profile stands
-- for an id that was taken over by now, as the view `profiles` has both.
belonging AS (
    SELECT source, identity FROM identities
),
step AS (
    SELECT
        coalesce(identity, source) AS identity,
        alias,
        arg_max(profile_id, (partition, position, line)) AS profile_id
    FROM profile_aliases
    LEFT JOIN belonging USING (source)
    GROUP BY ALL
),
walk AS (
    SELECT identity, alias, profile_id FROM step
    UNION
    SELECT walk.identity, walk.alias, step.profile_id
    FROM walk
    JOIN step ON step.identity = walk.identity AND step.alias = walk.profile_id
),
heir AS (
    SELECT walk.*
    FROM walk
    ANTI JOIN step ON step.identity = walk.identity AND step.alias = walk.profile_id
)
