-- What each customer bought each day. One sum is impossible and is set aside, so that a version has a quarantine too.
SELECT
    date_trunc('day', o.at) AS day,
    o.customer,
    o.product,
    count(*) AS orders,
    CAST(sum(o.amount * p.price) AS DOUBLE) AS revenue
FROM orders o
JOIN prices p ON p.product = o.product
WHERE o.at >= :interval_start AND o.at < :interval_end
GROUP BY ALL
ORDER BY ALL
