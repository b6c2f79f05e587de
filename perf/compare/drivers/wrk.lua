-- Requests of one job: wrk -s wrk.lua URL -- KIND PRODUCTS RUN
-- KIND: update, read, batch. PRODUCTS: among how many the product is drawn. RUN: makes the idempotency keys its own.
-- `anyVersion` stands in for the version, which a driver that sends 256 updates at once cannot follow.
local ITEMS_PER_BATCH = 100
local thread

function setup(the_thread)
  thread = the_thread
end

-- The members of an update but for the store, which a batch names once.
local function update()
  sent = sent + 1
  return string.format('"productId":"BENCH-%04d","delta":1,"anyVersion":true,"idempotencyKey":"%s-%d"}',
    math.random(0, products - 1), run, sent)
end

local function store()
  return string.format('{"storeId":"store-s%d",', sent % 50)
end

local kinds = {
  update = function()
    return wrk.format("POST", "/v1/inventory/updates", nil, store() .. update())
  end,
  batch = function()
    local items = {}
    for item = 1, ITEMS_PER_BATCH do items[item] = "{" .. update() end
    return wrk.format("POST", "/v1/inventory/updates", nil, store() .. '"updates":[' .. table.concat(items, ",") .. "]}")
  end,
  read = function()
    sent = sent + 1
    return wrk.format("GET", string.format("/v1/inventory/BENCH-%04d", math.random(0, products - 1)))
  end,
}

function init(args)
  products, run, sent = tonumber(args[2]), args[3], 0
  math.randomseed(tonumber(run, 16))
  wrk.headers["X-API-Key"] = "demo"
  wrk.headers["Content-Type"] = "application/json"
  request = kinds[args[1]]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests":%d,"sent":%d,"status":%d,"socket":%d,"timeout":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, thread:get("sent"), errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)))
end
