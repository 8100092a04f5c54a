-- How late each airline left each airport, day by day.
SELECT
    CAST(d.time_hour AS DATE) AS day,
    d.carrier,
    l.name AS airline,
    d.origin,
    count(*) AS flights,
    count(*) FILTER (WHERE d.dep_delay IS NULL) AS cancelled,
    avg(d.dep_delay) AS mean_delay,
    coalesce(avg(CASE WHEN d.dep_delay > 15 THEN 1.0 ELSE 0.0 END), 0) AS share_late
FROM departures d
LEFT JOIN airlines l ON l.carrier = d.carrier
GROUP BY ALL
