-- For wrk: prints what was measured as one line of JSON. Times in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, "p50": %.1f, "p99": %.1f, "connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
