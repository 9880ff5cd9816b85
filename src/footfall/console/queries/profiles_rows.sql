-- Everything that profiles were seen by, of the ids that are wanted: what the view `profiles` looks
-- at, but for what was not to be kept as an event.
said AS NOT MATERIALIZED (
    SELECT source, profile_id, protocol, session_id, occurred_at
    FROM events
    WHERE profile_id {ids}
    UNION ALL BY NAME
    SELECT source, profile_id, protocol, session_id, occurred_at
    FROM visits
    WHERE profile_id {ids}
    UNION ALL BY NAME
    SELECT source, profile_id, occurred_at FROM profile_traits WHERE profile_id {ids}
    UNION ALL BY NAME
    SELECT source, profile_id, occurred_at FROM profile_consents WHERE profile_id {ids}
    UNION ALL BY NAME
    SELECT source, profile_id, received_at AS occurred_at
    FROM profile_aliases
    WHERE profile_id {ids}
)
