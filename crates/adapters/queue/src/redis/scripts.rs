//! What has to happen in one step, in Lua.
//!
//! Each is sent whole every time (`EVAL`): the server keeps it compiled by its digest, and one
//! that was restarted knows it at once. All keys of a script are given as keys and share a slot.

/// KEYS stream, count; ARGV most entries, then for each entry its number of dispatches and its
/// bytes. Answers how many dispatches were taken in. An empty stream has an empty count, whatever
/// it was.
pub(super) const SEND: &str = r"
local length = redis.call('XLEN', KEYS[1])
if length == 0 then redis.call('DEL', KEYS[2]) end
local room, sent = ARGV[1] - length, 0
for i = 2, #ARGV, 2 do
  if room <= 0 then break end
  redis.call('XADD', KEYS[1], '*', 'd', ARGV[i + 1])
  room, sent = room - 1, sent + ARGV[i]
end
if sent > 0 then redis.call('INCRBY', KEYS[2], sent) end
return sent";

/// KEYS stream, count; ARGV group, then for each entry its id and its number of dispatches.
pub(super) const ACKNOWLEDGE: &str = r"
local gone = 0
for i = 2, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then gone = gone + ARGV[i + 1] end
end
if gone > 0 then redis.call('DECRBY', KEYS[2], gone) end
return gone";

/// KEYS stream, count; ARGV group, id, its number of dispatches, then the rest as in [`SEND`].
pub(super) const PUT_BACK: &str = r"
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if redis.call('XDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
local more = -ARGV[3]
for i = 4, #ARGV, 2 do
  redis.call('XADD', KEYS[1], '*', 'd', ARGV[i + 1])
  more = more + ARGV[i]
end
redis.call('INCRBY', KEYS[2], more)
return 1";

/// KEYS stream, count, dead; ARGV group, id, its number of dispatches, most dead letters, reason.
/// Of an entry that is not ours some bytes are kept.
pub(super) const BURY: &str = r"
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if #found == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('DECRBY', KEYS[2], ARGV[3])
local bytes = string.sub(found[1][2][2], 1, 4096)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'd', bytes, 'r', ARGV[5])
return 1";

/// KEYS stream; ARGV group, consumer, least idle time in ms, most entries, idle time in ms after
/// which a consumer is forgotten. Answers entries: id, fields, times taken. Without a group nobody
/// took anything. A consumer with something pending is never forgotten: that would lose it.
pub(crate) const RECLAIM: &str = r"
local idle = redis.pcall('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4])
if idle.err then
  if string.find(idle.err, 'NOGROUP') then return {} end
  return idle
end
local taken = {}
for _, entry in ipairs(idle) do
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], entry[1])
  if claimed[1] then
    taken[#taken + 1] = {entry[1], claimed[1][2], entry[4] + 1}
  end
end
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  if one[4] == 0 and one[6] > tonumber(ARGV[5]) and one[2] ~= ARGV[2] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], one[2])
  end
end
return taken";

/// KEYS stream, count; ARGV group. Answers dispatches, entries, entries taken.
pub(super) const DEPTH: &str = r"
local entries = redis.call('XLEN', KEYS[1])
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local taken = 0
if not pending.err then taken = pending[1] end
return {tonumber(redis.call('GET', KEYS[2]) or 0), entries, taken}";

/// KEYS dead; ARGV ids. Answers the bytes of those that were there.
pub(super) const REDRIVE: &str = r"
local bytes = {}
for _, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], id, id)
  if #found == 1 then
    redis.call('XDEL', KEYS[1], id)
    bytes[#bytes + 1] = found[1][2][2]
  end
end
return bytes";

/// KEYS the instance's, the index of its role; ARGV id, body, time to live in ms. The index holds
/// when each expires by the server's clock, loses those that did, and expires with its last.
pub(super) const BEAT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), ARGV[1])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
return 1";
