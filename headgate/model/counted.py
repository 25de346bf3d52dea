"""Decides how finely exchanges are counted: buckets of durations, what is timed, and how many label sets there are at most."""

from typing import Final

OTHER: Final = "other"
"""Stands for the names of routes, upstreams and servers beyond the bound: what is theirs is counted together."""
MOST: Final = 2000
"""Series of one metric."""
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of a histogram of durations, seconds; one more bucket has no bound."""
SPREADS: Final = MOST // (len(BUCKETS) + 3)
"""Histograms: each has a series for every bucket, that without a bound, its sum and its count."""
SPANS: Final = ("before", "resolve", "connect", "tls", "send", "wait", "head", "body")
"""What the time of an exchange goes into. before: until its last try begins, so queues and failed tries; wait: from the request's
end to the first byte of the response."""
