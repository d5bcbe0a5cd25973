-- How much came in by each stream, and when the last of it.
CREATE MATERIALIZED VIEW activity AS
SELECT key_name, count(*) AS entries, max(timestamp_ms) AS last_timestamp_ms
FROM stream_entries
GROUP BY key_name
