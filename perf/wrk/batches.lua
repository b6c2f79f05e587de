-- As updates.lua, a hundred of them in a request: a rate of 1,000 is 100,000 updates a second.
local ITEMS_PER_BATCH = 100
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
  local items = {}
  for item = 1, ITEMS_PER_BATCH do
    counter = counter + 1
    items[item] = string.format('{"productId":"BENCH-%04d","delta":1,"anyVersion":true,"idempotencyKey":"%s%d"}',
      math.random(1, 1000), prefix, counter)
  end
  local body = string.format('{"storeId":"store-s%d","updates":[%s]}', counter % 50, table.concat(items, ","))
  return wrk.format(nil, "/v1/inventory/updates", nil, body)
end

function done(summary, latency, requests)
  io.write(string.format("requests %d errors %d rate %.0f p50_us %d p99_us %d\n",
    summary.requests, summary.errors.status, summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99)))
end
