-- The observations by airport and hour; an hour observed twice keeps its first row.
SELECT origin, time_hour, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib
FROM weather
WHERE time_hour >= :interval_start AND time_hour < :interval_end
QUALIFY row_number() OVER (PARTITION BY origin, time_hour ORDER BY temp, dewp, humid, wind_dir, wind_speed) = 1
