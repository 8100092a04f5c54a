-- One row per scheduled departure, with what is known of the plane and of the airport it goes to.
SELECT
    f.carrier,
    f.flight,
    f.tailnum,
    f.origin,
    f.dest,
    f.time_hour,
    f.time_hour + to_minutes(f.minute) AS scheduled_at,
    f.dep_delay,
    f.arr_delay,
    f.air_time,
    f.distance,
    p.year AS plane_year,
    p.manufacturer,
    p.seats,
    a.name AS dest_name
FROM flights f
LEFT JOIN planes p ON p.tailnum = f.tailnum
LEFT JOIN airports a ON a.faa = f.dest
WHERE f.time_hour >= :interval_start AND f.time_hour < :interval_end
