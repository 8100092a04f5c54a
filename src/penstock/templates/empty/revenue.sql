-- One row per country and day.
SELECT country, ordered_on, count(*) AS orders, sum(amount) AS revenue
FROM orders
GROUP BY country, ordered_on
ORDER BY country, ordered_on
