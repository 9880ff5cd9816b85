-- What the lines of `told` say of profiles, one row per name. A withheld line can only take consent
-- back. What is no JSON object says nothing; of a name that stands twice, the first counts.
SELECT DISTINCT ON (row, kind, name)
    row,
    kind,
    name,
    -- A JSON pointer: every name is taken as it is, whatever characters it has.
    json_extract(
        facts, '/' || kind || '/' || replace(replace(name, '~', '~0'), '/', '~1')
    ) AS value
FROM (
    SELECT row, kind, facts, unnest(json_keys(facts, '$.' || kind)) AS name
    FROM told
    CROSS JOIN (VALUES ('traits'), ('consents'), ('aliases')) AS kinds (kind)
    WHERE profile_id IS NOT NULL
      AND json_type(facts, '$.' || kind) = 'OBJECT'
      AND (kind = 'consents' OR NOT withheld)
)
