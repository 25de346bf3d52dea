-- For wrk: requests that differ in target, cookie and id. They are made before the load starts and sent in turn, so that
-- making them costs nothing while it runs.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "result.lua")

local COUNT = 16384
local prepared, position = {}, 0
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local function hex(digits)
  local text = {}
  for i = 1, digits do
    text[i] = string.format("%x", math.random(0, 15))
  end
  return table.concat(text)
end

function init(args)
  math.randomseed(number)
  local headers = wrk.headers
  for i = 1, COUNT do
    headers["Cookie"] = string.format("session=%s; theme=dark; _ga=GA1.2.%d.%d", hex(32), math.random(1e9), math.random(1e9))
    headers["X-Request-Id"] = hex(32)
    prepared[i] = wrk.format("GET", string.format("/shop/item/%d-%d?ref=%s&page=%d", number, i, hex(12), math.random(99)))
  end
end

function request()
  position = position % COUNT + 1
  return prepared[position]
end
