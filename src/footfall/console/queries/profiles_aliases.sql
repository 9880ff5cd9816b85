-- The ids that one profile took over, the latest first, each with the record that holds by now.
WITH RECURSIVE {heirs}
SELECT
    alias,
    arg_max(left(profile_id, {characters} + 1), (partition, position, line)) AS profile_id,
    arg_max(left(reason, {characters} + 1), (partition, position, line)) AS reason,
    arg_max(received_at, (partition, position, line)) AS received_at
FROM profile_aliases
WHERE alias {ids} AND {where} AND alias <> {id}
GROUP BY alias
ORDER BY received_at DESC, alias
