-- What was said of one profile, the {most} latest of each name: {columns} of {table}.
WITH RECURSIVE {heirs},
numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY name ORDER BY partition DESC, position DESC, line DESC) AS nth,
        count(*) OVER (PARTITION BY name) AS times
    FROM {table}
    WHERE profile_id {ids} AND {where}
)
SELECT
    left(name, {characters} + 1) AS name,
    {columns},
    left(type, {characters} + 1) AS type,
    source,
    occurred_at,
    nth,
    times
FROM numbered
WHERE nth <= {most}
ORDER BY name, nth
