"""What both parts need: servers that start and stop, the load, CPU time, and the table."""

import contextlib
import http.client
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
HOST = "shop.example"
CONNECTIONS = 16
WARM_UP_SECONDS = 1
PROXY_CPU, LOAD_CPU = "0", "1"

NGINX = """
@modules@
@user@
daemon off;
worker_processes 1;
pid @dir@/nginx.pid;
error_log @dir@/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  server_tokens off;
  keepalive_requests 100000000;
  client_body_temp_path @dir@/body;
  proxy_temp_path @dir@/proxy;
  fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi;
  scgi_temp_path @dir@/scgi;
@http@
}
"""

CONSENTRY = """
[listen]
traffic = ["127.0.0.1:@port@"]
admin = "127.0.0.1:@admin@"

[server]
threads = 1

[limits]
requests_per_connection = 100000000

[log]
access = false

[[site]]
name = "shop"
hosts = ["shop.example"]
upstream = ["http://127.0.0.1:@origin@"]
mode = "@mode@"
@site@
"""


def fill(template, **values):
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    return template


class Missing(Exception):
    """Something that a row needs is not installed."""


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Missing(f"{name} is not installed")
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            # pingora's stock server waits minutes after SIGTERM.
            process.wait(2)
            return


def start(stack, command, cpu, port, log):
    """Starts a server on one CPU and waits until it answers."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [program("taskset"), "-c", cpu, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True)
    stack.callback(stop, process)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, http.client.HTTPException):
            if fetch(port, "/", {"Host": HOST})[0] == 200:
                return process
        time.sleep(0.05)
    text = pathlib.Path(log).read_text(errors="replace").strip()
    raise Missing(f"{command[0]} does not answer: {text[-2000:]}")


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_seconds(pid):
    """User and system time of the process with all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nginx(stack, directory, http_block, cpu, port, modules=()):
    directory.mkdir()
    config = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    load = "\n".join(f"load_module {module};" for module in modules)
    config.write_text(fill(NGINX, modules=load, user=user, http=http_block, dir=directory))
    command = [program("nginx"), "-e", str(directory / "start.log"), "-p", str(directory), "-c", str(config)]
    process = start(stack, command, cpu, port, directory / "output.log")
    return children(process.pid)[0]


def lua_modules():
    directories = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules"]
    for directory in map(pathlib.Path, directories):
        found = [directory / f"{name}.so" for name in ("ndk_http_module", "ngx_http_lua_module")]
        if all(path.exists() for path in found):
            return found
    raise Missing("the Lua module of nginx is not installed (libnginx-mod-http-lua)")


def bare_pingora(stack, temporary, origin):
    port = free_port()
    command = [str(BINARIES / "examples/bare_pingora"), f"127.0.0.1:{port}", f"127.0.0.1:{origin}"]
    return port, start(stack, command, PROXY_CPU, port, temporary / f"bare-{port}.log").pid


def consentry(stack, temporary, origin, mode, site=""):
    port = free_port()
    config = temporary / f"consentry-{port}.toml"
    config.write_text(fill(CONSENTRY, port=port, admin=free_port(), origin=origin, mode=mode, site=site))
    command = [str(BINARIES / "consentry"), "run", "--config", str(config)]
    return port, start(stack, command, PROXY_CPU, port, temporary / f"consentry-{port}.log").pid


class Row:
    """One proxy, asked in one way. `begin` starts it and returns its port and the process whose time counts; without it,
    the row is about the process of the row before."""

    def __init__(self, name, begin, path, headers, **more):
        self.name, self.begin, self.path, self.headers = name, begin, path, headers
        # What the part that the row belongs to wants to know of it.
        self.more = more
        self.port = self.pid = None
        self.rounds = []


def begin(rows, verify):
    """Starts what can be started; says what cannot."""
    ready, before = [], None
    for row in rows:
        try:
            if row.begin:
                before = row
                row.port, row.pid = row.begin()
            else:
                if before.port is None:
                    raise Missing("so is the row before")
                row.port, row.pid = before.port, before.pid
            verify(row)
            ready.append(row)
        except Missing as reason:
            print(f"skipped: {row.name}: {reason}", file=sys.stderr)
    return ready


def fetch(port, path, headers):
    """Status, header and body of the answer, nothing decoded."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.msg, response.read()
    finally:
        connection.close()


def load(row, seconds):
    """One run of the load generator: requests done, and CPU seconds that the proxy took for them."""
    options = [option for name, value in row.headers.items() for option in ("-H", f"{name}: {value}")]
    command = [
        program("taskset"), "-c", LOAD_CPU, program("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *options,
        f"http://127.0.0.1:{row.port}{row.path}",
    ]
    before, began = cpu_seconds(row.pid), time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    took, cpu = time.monotonic() - began, cpu_seconds(row.pid) - before
    if "Non-2xx" in result or "Socket errors" in result:
        sys.exit(f"{row.name}: requests failed:\n{result}")
    done = re.search(r"(\d+) requests in", result)
    if not done:
        sys.exit(f"wrk said something else than expected:\n{result}")
    requests = int(done[1])
    rate = float(re.search(r"Requests/sec:\s*([\d.]+)", result)[1])
    return {"requests": requests, "cpu_seconds": cpu, "micros": cpu / requests * 1e6, "rate": rate, "busy": cpu / took}


def measure(ready, rounds, seconds):
    for row in ready:
        load(row, WARM_UP_SECONDS)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        # A different row begins each time, so that none always follows the same one.
        turn = number % len(ready)
        for row in ready[turn:] + ready[:turn]:
            row.rounds.append(load(row, seconds))


def ratio(row, base):
    """The median of the ratios within each round."""
    return statistics.median(own["micros"] / other["micros"] for own, other in zip(row.rounds, base.rounds))


def report(ready, unit, bases):
    """Prints and returns the figures; `bases` are the rows that others are compared with, by the head of the column."""
    by_name = {row.name: row for row in ready}
    bases = {head: by_name[name] for head, name in bases.items() if name in by_name}
    table, lines = [], []
    for row in ready:
        micros = [result["micros"] for result in row.rounds]
        table.append({
            "name": row.name.strip(),
            "micros": statistics.median(micros),
            "micros_min": min(micros),
            "micros_max": max(micros),
            "rate": statistics.median(result["rate"] for result in row.rounds),
            "busy": statistics.median(result["busy"] for result in row.rounds),
            **{f"to_{head}": ratio(row, base) for head, base in bases.items()},
            "rounds": row.rounds,
        })
        entry = table[-1]
        ratios = " ".join(f"{entry[f'to_{head}']:>8.2f}" for head in bases)
        span = f"{entry['micros_min']:7.1f} – {entry['micros_max']:<7.1f}"
        lines.append(
            f"{row.name:<34} {entry['micros']:8.1f} {span} {entry['rate']:9.0f} {entry['busy']:6.0%} {ratios}")
    print(f"\n{'':<34} {f'CPU µs per {unit}':^26} {f'{unit}s':>9} {'CPU':>6} " + " ".join(f"{'ratio to':>8}" for _ in bases))
    print(f"{'':<34} {'median':>8} {'min – max':^17} {'per s':>9} {'busy':>6} " + " ".join(f"{head:>8}" for head in bases))
    print("\n".join(lines))
    if min(entry["busy"] for entry in table) < 0.8:
        print("\nSomething else used the CPUs meanwhile: ratios hold roughly, absolute figures do not.")
    return table


def environment():
    def version(*command):
        try:
            result = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True)
            return (result.stdout + result.stderr).splitlines()[0]
        except (Missing, IndexError):
            return None

    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return {
        "machine": model[1] if model else platform.machine(),
        "kernel": platform.release(),
        "nginx": version("nginx", "-v"),
        "haproxy": version("haproxy", "-v"),
        "wrk": version("wrk", "-v"),
        "rustc": version("rustc", "--version"),
    }
