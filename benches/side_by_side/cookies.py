"""The part about cookies: nine of fourteen, and five of eight, are taken out.

A proxy that strips has to prove it first: the origin must get exactly the cookies that are to stay, and so must the
client. A proxy that does not strip must pass on all of them.

Peers are configured as their documentation advises, and strip with what they have: nginx with Lua, HAProxy with a
regular expression for the request and Lua for the response, where it has no rule by value. Both know only the cookies
of this test; Consentry looks each name up in its whole catalog. Consentry also sets the X-Forwarded fields, tells the
origin the purposes granted, keeps metrics, and marks a changed response as private, which the peers do not.
"""

import re
import subprocess
import sys

from harness import (
    HOST, LOAD_CPU, PROXY_CPU, Missing, Row, bare_pingora, consentry, fetch, fill, free_port, lua_modules, nginx, program,
    start)

PATH, ECHO = "/product.png", "/echo"
BODY = "x" * 1024

# The names are in config/catalog, except `cart_id`, which is a rule of the site.
REQUEST_COOKIES = [
    ("PHPSESSID", "q4m8n1v6c2x9z3l5k7j0h2g4f6"),
    ("_ga", "GA1.1.1482037465.1760012345"),
    ("_ga_4T7QX2M9KD", "GS1.1.1760012345.7.1.1760012899.60.0.0"),
    ("_gid", "GA1.1.903214785.1760012345"),
    ("csrftoken", "Zt0yC7u1WqX9mB4nV6kL2pS8dF3gH5jR"),
    ("_fbp", "fb.0.1760012345678.1298347650"),
    ("_gcl_au", "1.1.772301948.1760012345"),
    ("cart_id", "b7f0c7f2-4b0e-4c55-9b9e-2f1d3a6c8e01"),
    ("_hjSessionUser_1", "eyJpZCI6IjZmMGYzYTU0LTQ4YjctNWM1ZC1hM2JlLTc3ZjIwYjQ1ZDFjNyIsImNyZWF0ZWQiOjE3NjAwMTIzNDV9"),
    ("_uetsid", "5d0c2a90a5f311efb1b3a7d6a4c7e2f1"),
    ("AWSALB", "t3Vq9Yw1Kx7Zb5Nc2Md8Lf4Pg6Rh0Sj"),
    ("_clck", "1k9x2ab%7C2%7Cfzx%7C0%7C1742"),
    ("_ttp", "2pXkQ9vLr7sT4uW1yZ8aB3cD5e"),
    ("__cf_bm", "8mYd1QeR5tUi7oPa3sDfG6hJkL0zXcV2bN4m"),
]
RESPONSE_COOKIES = [
    ("PHPSESSID", "q4m8n1v6c2x9z3l5k7j0h2g4f6; Path=/; HttpOnly; SameSite=Lax"),
    ("_ga", "GA1.1.1482037465.1760012345; Path=/; Max-Age=63072000"),
    ("_gid", "GA1.1.903214785.1760012345; Path=/; Max-Age=86400"),
    ("csrftoken", "Zt0yC7u1WqX9mB4nV6kL2pS8dF3gH5jR; Path=/; Max-Age=31449600; SameSite=Lax"),
    ("_fbp", "fb.0.1760012345678.1298347650; Path=/; Max-Age=7776000; SameSite=Lax"),
    ("_gcl_au", "1.1.772301948.1760012345; Path=/; Max-Age=7776000"),
    ("cart_id", "b7f0c7f2-4b0e-4c55-9b9e-2f1d3a6c8e01; Path=/; Max-Age=1209600"),
    ("_uetvid", "5d0c6f20a5f311ef9c2b4d8e0f6a1b3c; Path=/; Max-Age=33696000"),
]
# What the peers are told to strip.
DENIED = ["_ga", "_gid", "_fbp", "_gcl_au", "_uetsid", "_uetvid", "_clck", "_ttp"]
DENIED_PREFIXES = ["_ga_", "_hjSessionUser_"]


def is_denied(name):
    return name in DENIED or name.startswith(tuple(DENIED_PREFIXES))


def pairs(cookies, keep=lambda name: True):
    return [f"{name}={value}" for name, value in cookies if keep(name)]


def kept(name):
    return not is_denied(name)


HEADERS = {
    "Host": HOST,
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "*/*",
    "Accept-Language": "en-GB,en;q=0.5",
    "Cookie": "; ".join(pairs(REQUEST_COOKIES)),
}
# Deletions are added to pages only, so an image makes Consentry do what its peers do, and no more.
IMAGE = HEADERS | {"Sec-Fetch-Dest": "image"}

NGINX_ORIGIN = """
  server {
    listen 127.0.0.1:@port@;
    default_type image/png;
@cookies@
    location = @echo@ { return 200 $http_cookie; }
    location / { return 200 "@body@"; }
  }
"""

NGINX_PROXY = """
  upstream origin {
    server 127.0.0.1:@origin@;
    keepalive 64;
    keepalive_requests 100000000;
  }
@init@
  server {
    listen 127.0.0.1:@port@;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
@filters@
    }
  }
"""

LUA_DENIED = """
local exact = { @exact@ }
local prefixes = { @prefixes@ }
local find, sub = string.find, string.sub

local function denied(name)
  if exact[name] then return true end
  for i = 1, #prefixes do
    if find(name, prefixes[i], 1, true) == 1 then return true end
  end
  return false
end
"""

NGINX_LUA_INIT = """
  init_by_lua_block {
@denied@
    local concat = table.concat
    consent = {}

    function consent.request()
      local line = ngx.var.http_cookie
      if not line then return end
      local kept, n, from, changed = {}, 0, 1, false
      while from do
        local semicolon = find(line, ";", from, true)
        local pair = sub(line, from, semicolon and semicolon - 1)
        local equals = find(pair, "=", 1, true)
        local start = find(pair, "[^ ]") or 1
        if denied(sub(pair, start, equals and equals - 1)) then
          changed = true
        else
          n = n + 1
          kept[n] = sub(pair, start)
        end
        from = semicolon and semicolon + 1
      end
      if not changed then return end
      if n == 0 then ngx.req.clear_header("Cookie") else ngx.req.set_header("Cookie", concat(kept, "; ")) end
    end

    function consent.response()
      local lines = ngx.header["Set-Cookie"]
      if not lines then return end
      if type(lines) == "string" then lines = { lines } end
      local kept, n = {}, 0
      for i = 1, #lines do
        local line = lines[i]
        local equals = find(line, "=", 1, true)
        if not denied(sub(line, 1, equals and equals - 1)) then
          n = n + 1
          kept[n] = line
        end
      end
      if n < #lines then ngx.header["Set-Cookie"] = kept end
    end
  }
"""

NGINX_LUA_FILTERS = """
      rewrite_by_lua_block { consent.request() }
      header_filter_by_lua_block { consent.response() }
"""

HAPROXY = """
global
  nbthread 1
  maxconn 1024
@global@
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend visitors
  bind 127.0.0.1:@port@
@rules@
  default_backend origin
backend origin
  server origin 127.0.0.1:@origin@
"""

HAPROXY_LUA = """
@denied@
core.register_action("strip_set_cookie", { "http-res" }, function(txn)
  local lines = txn.http:res_get_headers()["set-cookie"]
  if lines == nil then return end
  local kept, n, changed = {}, 0, false
  local i = 0
  while lines[i] do
    local line = lines[i]
    local equals = find(line, "=", 1, true)
    if denied(sub(line, 1, equals and equals - 1)) then
      changed = true
    else
      n = n + 1
      kept[n] = line
    end
    i = i + 1
  end
  if not changed then return end
  txn.http:res_del_header("set-cookie")
  for k = 1, n do txn.http:res_add_header("set-cookie", kept[k]) end
end)
"""

HAPROXY_RULES = """
  acl sent req.fhdr(cookie) -m found
  http-request set-header Cookie '%[req.fhdr(cookie),regsub("(^|; *)(@names@)=[^;]*","",g),regsub("^; *","")]' if sent
  http-response lua.strip_set_cookie if { res.fhdr(set-cookie) -m found }
"""

OWN_RULES = """
[[site.cookie]]
name = "cart_id"
purpose = "necessary"
"""


def lua_denied():
    exact = ", ".join(f'["{name}"] = true' for name in DENIED)
    prefixes = ", ".join(f'"{prefix}"' for prefix in DENIED_PREFIXES)
    return fill(LUA_DENIED, exact=exact, prefixes=prefixes)


def start_origin(stack, temporary):
    port = free_port()
    cookies = "\n".join(f'    add_header Set-Cookie "{pair}";' for pair in pairs(RESPONSE_COOKIES))
    block = fill(NGINX_ORIGIN, port=port, cookies=cookies, echo=ECHO, body=BODY)
    nginx(stack, temporary / "origin", block, LOAD_CPU, port)
    return port


def rows(stack, temporary, origin):

    def nginx_proxy(lua):
        port = free_port()
        init = fill(NGINX_LUA_INIT, denied=lua_denied()) if lua else ""
        block = fill(NGINX_PROXY, init=init, filters=NGINX_LUA_FILTERS if lua else "", port=port, origin=origin)
        directory = temporary / ("nginx-lua" if lua else "nginx")
        return port, nginx(stack, directory, block, PROXY_CPU, port, lua_modules() if lua else ())

    def haproxy(strip):
        port = free_port()
        directory = temporary / ("haproxy-strip" if strip else "haproxy")
        directory.mkdir()
        load, rules = "", ""
        if strip:
            if "+LUA" not in subprocess.run([program("haproxy"), "-vv"], capture_output=True, text=True).stdout:
                raise Missing("this HAProxy is built without Lua")
            (directory / "strip.lua").write_text(fill(HAPROXY_LUA, denied=lua_denied()))
            load = f"  lua-load {directory}/strip.lua"
            names = "|".join(DENIED + [prefix + "[^=;]*" for prefix in DENIED_PREFIXES])
            rules = fill(HAPROXY_RULES, names=names)
        config = directory / "haproxy.cfg"
        config.write_text(fill(HAPROXY, rules=rules, port=port, origin=origin, **{"global": load}))
        command = [program("haproxy"), "-db", "-f", str(config)]
        return port, start(stack, command, PROXY_CPU, port, directory / "output.log").pid

    def own(mode):
        return consentry(stack, temporary, origin, mode, OWN_RULES)

    def row(name, strips, begin, headers=IMAGE):
        return Row(name, begin, PATH, headers, strips=strips)

    return [
        row("bare pingora", False, lambda: bare_pingora(stack, temporary, origin)),
        row("nginx, plain", False, lambda: nginx_proxy(False)),
        row("nginx, Lua strips", True, lambda: nginx_proxy(True)),
        row("HAProxy, plain", False, lambda: haproxy(False)),
        row("HAProxy, regex and Lua strip", True, lambda: haproxy(True)),
        row("Consentry, mode off", False, lambda: own("off")),
        row("Consentry, mode enforce", True, lambda: own("enforce")),
        row("  … and deletes (extra work)", True, None, HEADERS),
    ]


def verify(row):
    """What reaches the origin, and what reaches the client, to the byte."""
    keep = kept if row.more["strips"] else lambda name: True
    navigation = row.headers is HEADERS
    expected_request = "; ".join(pairs(REQUEST_COOKIES, keep))
    expected_response = pairs(RESPONSE_COOKIES, keep)
    for path in (ECHO, PATH):
        status, header, body = fetch(row.port, path, row.headers)
        cookies, body = header.get_all("Set-Cookie") or [], body.decode()
        expected_body = expected_request if path == ECHO else BODY
        if (status, body) != (200, expected_body):
            sys.exit(f"{row.name}: wrong answer to {path}: {status}\n  {body}\nexpected\n  {expected_body}")
        extra = cookies[len(expected_response):]
        if cookies[:len(expected_response)] != expected_response or bool(extra) != navigation:
            sys.exit(f"{row.name}: wrong cookies for the client: {cookies}\nexpected {expected_response}")
        deleted = {line.partition("=")[0] for line in extra if re.search("max-age=0|1970", line, re.IGNORECASE)}
        if navigation and deleted != {name for name, _ in REQUEST_COOKIES if is_denied(name)}:
            sys.exit(f"{row.name}: wrong deletions: {extra}")
