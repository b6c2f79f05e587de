-- Durable updates on 1,000 products, each with an idempotency key of its own.
-- `anyVersion` stands in for the version, which wrk cannot follow.
local thread_count = 0
function setup(thread)
  thread:set("id", thread_count)
  thread_count = thread_count + 1
end

function init(args)
  math.randomseed(os.time() * 100 + id)
  prefix = string.format("wrk-%d-%d-", os.time(), id)
  counter = 0
  wrk.method = "POST"
  wrk.headers["X-API-Key"] = "demo"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  counter = counter + 1
  local body = string.format(
    '{"storeId":"store-s%d","productId":"BENCH-%04d","delta":1,"anyVersion":true,"idempotencyKey":"%s%d"}',
    counter % 50, math.random(1, 1000), prefix, counter)
  return wrk.format(nil, "/v1/inventory/updates", nil, body)
end

function done(summary, latency, requests)
  io.write(string.format("requests %d errors %d rate %.0f p50_us %d p99_us %d\n",
    summary.requests, summary.errors.status, summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99)))
end
