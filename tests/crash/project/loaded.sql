SELECT p.to__city AS city, count(*) AS items, sum(i.pieces) AS pieces, sum(p.weight) AS weight
FROM parcels AS p
JOIN parcels__items AS i ON i._parent = p._row
GROUP BY ALL
