-- Reads of one product.
function init(args)
  wrk.headers["X-API-Key"] = "demo"
end

function request()
  return wrk.format(nil, "/v1/inventory/BENCH-0001")
end

function done(summary, latency, requests)
  io.write(string.format("requests %d errors %d rate %.0f p50_us %d p99_us %d\n",
    summary.requests, summary.errors.status, summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99)))
end
