-- Parks what would contact a denied tracker: the peer of the gate, as a good engineer would write it with what nginx has.
-- The body is held back until it is whole, since a tag may be cut in two; then one compiled regular expression finds the
-- tags, and a table says which hosts are denied.

local gsub, sub, lower = ngx.re.gsub, string.sub, string.lower
local concat = table.concat
local denied = { @hosts@ }

-- Any case, any quotes or none, protocol-relative addresses, white space around `=`.
local TAG = [[(<(?:script|img|iframe|link)\b[^>]*?\s)((?:src|href)\s*=\s*["']?(?:https?:)?//([^/"'\s>?#]+))]]

local function park(match)
  if denied[match[3]] or denied[lower(match[3])] then
    return match[1] .. "data-" .. match[2]
  end
  return match[0]
end

local function decoded(page)
  if ngx.ctx.coding ~= "gzip" then return page end
  return (require("zlib").inflate()(page))
end

parking = {}

function parking.header()
  ngx.ctx.coding = ngx.header["Content-Encoding"]
  ngx.header["Content-Encoding"] = nil
  ngx.header["Content-Length"] = nil
end

function parking.body()
  local context, chunk = ngx.ctx, ngx.arg[1]
  local page = context.page
  if not page then
    page = {}
    context.page = page
  end
  page[#page + 1] = chunk
  if ngx.arg[2] then
    ngx.arg[1] = gsub(decoded(concat(page)), TAG, park, "ijo")
  else
    ngx.arg[1] = nil
  end
end
