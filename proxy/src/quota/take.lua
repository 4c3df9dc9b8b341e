-- One request of one client, by the generic cell rate algorithm: the same sums as in `aorta_core::limit`.
-- KEYS[1]: the client. ARGV: microseconds that a request costs; requests that may be asked at once.
-- Returns {1, requests left} or {0, microseconds to wait}. A refused request costs nothing and writes nothing.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local interval = tonumber(ARGV[1])
local span = interval * tonumber(ARGV[2])
local paid = tonumber(redis.call('GET', KEYS[1]) or '0')
-- Not before now; nor later than a full burst ahead, which only a clock that was set back can have left behind.
paid = math.min(math.max(paid, now), now + span) + interval
local ahead = paid - now
if ahead > span then
    return {0, math.ceil(ahead - span)}
end
redis.call('SET', KEYS[1], string.format('%.3f', paid), 'PX', math.ceil(ahead / 1000))
return {1, math.floor((span - ahead) / interval)}
