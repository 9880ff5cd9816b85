-- Whose profiles a source's are: those of its identity group as the settings had it last. Of a source
-- that no settings were seen to have (it went before a release that keeps them), its latest visit
-- tells. A source of no visit and no settings is not here; its profiles are its own.
SELECT source, identity FROM source_groups
UNION ALL
SELECT source, arg_max(identity, received_at) AS identity
FROM visits
ANTI JOIN source_groups USING (source)
GROUP BY source
