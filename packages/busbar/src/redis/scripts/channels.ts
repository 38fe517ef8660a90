/**
 * Publishes on channels, one message after the other. Returns a line of `index reason` for each that the server refused, then an
 * empty line, then how many nobody received. Arguments: for each run of messages on one channel its name, their number, and these.
 */
export const publishOnChannels = `
local at, index, unheard, failed = 1, 0, 0, {}
while at < #ARGV do
  local channel, count = ARGV[at], tonumber(ARGV[at + 1])
  for i = at + 2, at + 1 + count do
    local received = redis.pcall('PUBLISH', channel, ARGV[i])
    if received == 0 then unheard = unheard + 1 end
    if type(received) == 'table' then failed[#failed + 1] = index .. ' ' .. string.gsub(received.err, '%s+', ' ') .. '\\n' end
    index = index + 1
  end
  at = at + 2 + count
end
return table.concat(failed) .. '\\n' .. unheard
`
