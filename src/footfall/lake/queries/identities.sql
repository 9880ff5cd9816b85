-- Whose profiles a source's are: those of the identity group that its latest visit named. A source
-- that has no visit is not here; its profiles are its own.
SELECT source, arg_max(identity, received_at) AS identity
FROM visits
GROUP BY source
