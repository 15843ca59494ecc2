"""The part about pages: 60 KiB of HTML with 40 resource tags, of which 15 are at hosts that the catalog denies.

A proxy that parks has to prove it first: read by an HTML parser, its page must name exactly the 25 others where a browser
would fetch them, and all 15 in attributes that a browser does not know. A proxy that does not park must pass on the page
to the byte.

nginx parks with `sub_filter`, two fixed strings for each address, or with Lua and a regular expression (park.lua). Both
know only the hosts of this test. Then everybody is shown the spellings below, all of which browsers fetch.

What nginx cannot do: its `gunzip` leaves alone what a client reads as gzip, so that `sub_filter` finds nothing in a page
that is gzip on both sides; Lua is called before `gunzip`, and needs lua-zlib; it writes no zstd.
"""

import gzip
import html.parser
import http.client
import pathlib
import re
import subprocess
import sys
import time

from harness import (
    HOST, LOAD_CPU, PROXY_CPU, Missing, Row, bare_pingora, consentry, fetch, fill, free_port, lua_modules, nginx, program)

HERE = pathlib.Path(__file__).resolve().parent
SIZE = 60 * 1024
PLAIN, GZIP, SPELLINGS_PATH = "/page.html", "/gzip/page.html", "/spellings.html"
DENIED_HOSTS = {
    "www.googletagmanager.com", "connect.facebook.net", "static.hotjar.com", "www.clarity.ms", "snap.licdn.com",
    "bat.bing.com", "cdn.segment.com", "www.facebook.com", "px.ads.linkedin.com", "www.google-analytics.com",
    "www.youtube.com",
}
HEADERS = {
    "Host": HOST,
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.5",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
}
TO_GZIP = HEADERS | {"Accept-Encoding": "gzip"}
TO_ZSTD = HEADERS | {"Accept-Encoding": "gzip, deflate, br, zstd"}
AGREED = HEADERS | {"Cookie": f"consentry=1~preferences.analytics.marketing~~{int(time.time())}~r"}

SPELLINGS = {
    "as most write it": '<img src="https://www.google-analytics.com/c">',
    "capital letters": '<IMG SRC="https://www.google-analytics.com/c">',
    "capital letters in the host": '<img src="HTTPS://WWW.Google-Analytics.com/c">',
    "single quotes": "<img src='https://www.google-analytics.com/c'>",
    "no quotes": "<img src=https://www.google-analytics.com/c>",
    "space around =": '<img src = "https://www.google-analytics.com/c">',
    "no scheme": '<img src="//www.google-analytics.com/c">',
    "a slash before the name": '<img/src="https://www.google-analytics.com/c">',
    "a tab in the address": '<img src="/\t/www.google-analytics.com/c">',
    "backslashes": '<img src="https:\\\\www.google-analytics.com\\c">',
    "character references": '<img src="https&colon;//www.google-analytics&#46;com/c">',
    "> in an attribute before": '<img alt="a > b" src="https://www.google-analytics.com/c">',
}

# ---------------------------------------------------------------------------------------------------- configurations

ORIGIN = """
  server {
    listen 127.0.0.1:@port@;
    root @root@;
    default_type text/html;
    charset utf-8;
    location /gzip/ { gzip_static always; }
    location = / { return 200 ""; }
  }
"""

PROXY = """
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
      proxy_set_header Accept-Encoding "";
      proxy_buffer_size 16k;
      proxy_buffers 8 32k;
      proxy_busy_buffers_size 64k;
      gzip @gzip@;
      gzip_comp_level 1;
@filters@
    }
  }
"""

LUA_FILTERS = """
      header_filter_by_lua_block { parking.header() }
      body_filter_by_lua_file @lua@;
"""


def page():
    """As `page` in micro.rs makes it. Goods fill it up to its size."""
    template = (HERE / "page.html").read_text()
    room, places = SIZE - len(template.encode()), template.count("@goods@")
    goods, number = [[] for _ in range(places)], 0
    while room > 0:
        number += 1
        mixed = number * 0x9e3779b97f4a7c15 % 2**64
        item = (
            f'<li class="item" id="p{mixed >> 40:x}"><a href="/p/{mixed >> 40:x}" class="card"><h3>{mixed >> 24:x}</h3>'
            f'<p class="text">Made by hand; {mixed % 97} left, sent within {mixed % 7} days.</p>'
            f'<span class="price">{mixed % 997} €</span></a></li>\n')
        goods[number % places].append(item)
        room -= len(item.encode())
    for items in goods:
        template = template.replace("@goods@\n", "".join(items), 1)
    return template


class Resources(html.parser.HTMLParser):
    """What a browser would fetch, and what is parked."""

    def __init__(self, text):
        super().__init__()
        self.live, self.parked = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("script", "img", "iframe", "link"):
            return
        for name, value in attributes:
            if name == ("href" if tag == "link" else "src"):
                self.live.append((tag, value))
            elif re.fullmatch("data-(consentry-)?(src|href)", name):
                self.parked.append(value)

    handle_startendtag = handle_starttag


PAGE = page()
TAGS = Resources(PAGE).live


def host_of(address):
    return re.sub("^https://([^/?]*).*", r"\1", address)


def is_denied(address):
    return host_of(address) in DENIED_HOSTS


DENIED = [address for _, address in TAGS if is_denied(address)]
ALLOWED = [address for _, address in TAGS if not is_denied(address)]
assert (len(TAGS), len(DENIED)) == (40, 15)


def start_origin(stack, temporary):
    port, root = free_port(), temporary / "pages"
    (root / "gzip").mkdir(parents=True)
    (root / PLAIN[1:]).write_text(PAGE)
    (root / (GZIP[1:] + ".gz")).write_bytes(gzip.compress(PAGE.encode(), 6))
    spellings = "".join(f"<!--{number}-->{tag}\n" for number, tag in enumerate(SPELLINGS.values()))
    (root / SPELLINGS_PATH[1:]).write_text(f"<!doctype html><title>x</title>\n{spellings}")
    nginx(stack, temporary / "pages-origin", fill(ORIGIN, port=port, root=root), LOAD_CPU, port)
    return port


# ---------------------------------------------------------------------------------------------------------------- rows


def sub_filters():
    starts = {("href" if tag == "link" else "src", host_of(address)) for tag, address in TAGS if is_denied(address)}
    lines = [f"""sub_filter '{name}="https://{host}' 'data-{name}="https://{host}';""" for name, host in sorted(starts)]
    return "\n".join(["sub_filter_once off;", "gunzip on;", *lines])


def rows(stack, temporary, origin):
    def nginx_proxy(park=None, compress=False):
        port = free_port()
        directory = temporary / f"nginx-{port}"
        init, filters, modules = "", "", ()
        if park == "sub_filter":
            filters = sub_filters()
        if park == "lua":
            modules = lua_modules()
            code, call = temporary / f"park-{port}.lua", temporary / f"body-{port}.lua"
            hosts = ", ".join(f'["{host}"] = true' for host in sorted(DENIED_HOSTS))
            code.write_text(fill((HERE / "park.lua").read_text(), hosts=hosts))
            call.write_text("parking.body()\n")
            init, filters = f"  init_by_lua_file {code};", fill(LUA_FILTERS, lua=call)
        block = fill(
            PROXY, init=init, filters=filters, port=port, origin=origin, gzip="on" if compress else "off")
        return port, nginx(stack, directory, block, PROXY_CPU, port, modules)

    def row(name, parks, begin, headers=HEADERS, path=PLAIN):
        return Row(name, begin, path, headers, parks=parks)

    own = {"stack": stack, "temporary": temporary, "origin": origin}
    return [
        row("bare pingora", False, lambda: bare_pingora(**own)),
        row("nginx, plain", False, lambda: nginx_proxy()),
        row("nginx, sub_filter", True, lambda: nginx_proxy("sub_filter")),
        row("  … gzip from origin", True, None, HEADERS, GZIP),
        row("nginx, Lua parks", True, lambda: nginx_proxy("lua")),
        row("  … gzip from origin", True, None, HEADERS, GZIP),
        row("Consentry, mode off", False, lambda: consentry(**own, mode="off")),
        row("Consentry, all granted", False, lambda: consentry(**own, mode="enforce"), AGREED),
        row("Consentry, gate", True, None),
        row("  … gzip from origin", True, None, HEADERS, GZIP),
        row("  … gzip to client", True, None, TO_GZIP),
        row("  … zstd to client", True, None, TO_ZSTD),
        row("  … gzip from origin, gzip to client", True, None, TO_GZIP, GZIP),
        row("nginx, gzip to client", False, lambda: nginx_proxy(compress=True), TO_GZIP),
        row("nginx, sub_filter, gzip to client", True, lambda: nginx_proxy("sub_filter", compress=True), TO_GZIP),
        row("nginx, Lua parks, gzip to client", True, lambda: nginx_proxy("lua", compress=True), TO_GZIP),
        row("  … gzip from origin", True, None, TO_GZIP, GZIP),
    ]


# -------------------------------------------------------------------------------------------------------- verification


def decode(body, coding):
    match coding:
        case None:
            return body.decode()
        case "gzip":
            return gzip.decompress(body).decode()
        case "zstd":
            return subprocess.run([program("zstd"), "-dc"], input=body, capture_output=True, check=True).stdout.decode()
    sys.exit(f"an answer in {coding}")


def verify(row):
    try:
        status, header, body = fetch(row.port, row.path, row.headers)
    except (http.client.HTTPException, OSError) as error:
        raise Missing(f"no whole answer ({error!r}); nginx with Lua reads gzip by lua-zlib") from error
    coding = header["Content-Encoding"]
    wanted = re.search("[a-z]*$", row.headers.get("Accept-Encoding", ""))[0] or None
    text = decode(body, coding)
    if (status, coding) != (200, wanted):
        sys.exit(f"{row.name}: {status}, {coding}; wanted {wanted}")
    if not row.more["parks"]:
        if text != PAGE:
            sys.exit(f"{row.name}: the page is changed")
        return
    resources = Resources(text)
    # What Consentry puts in: its guard, and a page of its own where a frame was.
    live = [address for _, address in resources.live if not address.startswith("/.consentry/")]
    if live != ALLOWED or resources.parked != DENIED:
        sys.exit(f"{row.name}: live {live}\nparked {resources.parked}\nexpected {ALLOWED}\n{DENIED}")


def parked_spellings(row):
    """Which spellings do not come through as they were."""
    _, _, body = fetch(row.port, SPELLINGS_PATH, HEADERS)
    lines = dict(re.findall(r"<!--(\d+)-->(.*)\n", body.decode()))
    return {name: lines[str(number)] != tag for number, (name, tag) in enumerate(SPELLINGS.items())}


def spellings(ready):
    """How many of the spellings each row parks that is about a process of its own."""
    found = {row.name: parked_spellings(row) for row in ready if row.more["parks"] and row.headers is HEADERS
             and row.path == PLAIN}
    for name, parked in found.items():
        missed = [spelling for spelling, is_parked in parked.items() if not is_parked]
        print(f"{name}: parks {sum(parked.values())} of {len(parked)} spellings"
              + (f"; not: {', '.join(missed)}" if missed else ""))
    return found
