-- What was out of the ordinary in a stage, and when? More than three standard deviations above what was usual; live estimates, each in its latest revision.
SELECT subject AS stage, metric, window_start AS minute, observed, expected, sigma, sigma > 3 AS stands
FROM anomalies
WHERE subject_kind = 'stage'
ORDER BY minute DESC, stage, metric
