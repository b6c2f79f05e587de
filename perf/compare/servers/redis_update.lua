-- One update: has this key been used, is the version right, is there enough; then quantity, version, event, and the
-- answer remembered for two minutes. KEYS: idempotency, product, events. ARGV: store, delta, version or "any".
local first = redis.call('GET', KEYS[1])
if first then return first end

local found = redis.call('HMGET', KEYS[2], 'available', 'version')
if not found[1] then return redis.error_reply('NOTFOUND no such product') end
local available, version = tonumber(found[1]), tonumber(found[2])
if ARGV[3] ~= 'any' and tonumber(ARGV[3]) ~= version then
  return redis.error_reply('CONFLICT version ' .. found[2])
end
available = available + tonumber(ARGV[2])
if available < 0 then return redis.error_reply('INSUFFICIENT available ' .. found[1]) end
version = version + 1

redis.call('HSET', KEYS[2], 'available', available, 'version', version)
local offset = redis.call('XADD', KEYS[3], '*', 'product', KEYS[2], 'store', ARGV[1], 'delta', ARGV[2],
  'available', available, 'version', version)
local answer = '{"productId":"' .. KEYS[2] .. '","newQuantity":' .. available .. ',"newVersion":' .. version ..
  ',"applied":true,"lastUpdated":"' .. offset .. '"}'
redis.call('SET', KEYS[1], answer, 'EX', 120)
return answer
