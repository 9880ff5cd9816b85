-- Which profile an id is, in whose eyes: by itself, or as one that was taken over.
WITH RECURSIVE {heirs},
{said},
there AS (
    SELECT source FROM said
    UNION
    SELECT source FROM profile_aliases WHERE alias {ids}
)
SELECT DISTINCT
    coalesce(belonging.identity, source) AS source,
    coalesce(heir.profile_id, {id}) AS profile_id
FROM there
LEFT JOIN belonging USING (source)
LEFT JOIN heir ON heir.identity = coalesce(belonging.identity, source) AND heir.alias = {id}
ORDER BY ALL
