// Sends the page's tracking requests, and shows what became of them and of what other hosts are to be asked for.
// Everything is written as text, never as markup.
"use strict";

const jar = document.getElementById("jar");
const parked = document.getElementById("parked");
const requests = document.getElementById("requests");
const hosts = document.getElementById("hosts");
const banner = document.getElementById("banner");

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// What is shown already is not shown anew, so that a selection stays.
function showList(list, lines, otherwise) {
  const made = lines.map(([code, note]) => {
    const line = document.createElement("li");
    line.append(element("code", code), " ", element("small", note || ""));
    return line;
  });
  const items = made.length ? made : [element("li", otherwise, "none")];
  const text = (all) => all.map((item) => item.textContent).join("\n");
  if (text(items) !== text([...list.children])) list.replaceChildren(...items);
}

function showJar() {
  const cookies = document.cookie.split("; ").filter(Boolean).map((cookie) => [cookie, ""]);
  const keys = Object.keys(localStorage).map((key) => [key + ": " + localStorage.getItem(key), "localStorage"]);
  showList(jar, [...cookies, ...keys], "nothing that a script can see");
}

// --- Parked elements ---

// The host that an element would contact, in whatever it says; a path is on the shop's own.
function hostOf(parkedElement) {
  const names = ["src", "href", "srcset", "data", "action"].map((name) => parkedElement.getAttribute("data-consentry-" + name));
  const text = names.find(Boolean) || parkedElement.textContent;
  const address = /https?:\/\/([^/:?#"'\s]+)/.exec(text);
  return address ? address[1] : text;
}

function showParked() {
  const lines = [...document.querySelectorAll("[data-consentry]")].map((one) => {
    const inline = one.localName === "script" && !one.hasAttribute("data-consentry-src") ? ", inline" : "";
    const vendor = one.getAttribute("data-consentry-vendor");
    const rel = one.rel ? " " + one.rel : "";
    return [`<${one.localName}${rel}${inline}> ${hostOf(one)}`, (vendor ? vendor + ", " : "") + "waits for " + one.getAttribute("data-consentry").replace(/ /g, " and ")];
  });
  showList(parked, lines, "none: everything has been loaded");
}

// --- Other hosts ---

async function showHosts() {
  const counts = await (await fetch("/third-parties.json", { cache: "no-store" })).json();
  for (const row of hosts.rows) {
    const cell = row.cells[row.cells.length - 1];
    const count = String(counts[row.dataset.host]);
    row.classList.toggle("fresh", cell.textContent !== count);
    cell.textContent = count;
  }
}

// --- Tracking requests to the shop's own host ---

function requestRow(name, kind, status, consentry, outcome, stopped) {
  const row = document.createElement("tr");
  const what = document.createElement("td");
  what.append(element("code", name), " ", element("small", kind));
  const verdict = element("td", "");
  verdict.append(element("code", consentry || "–"));
  row.append(what, element("td", status || "–"), verdict, element("td", outcome, stopped ? "stopped" : "reached"));
  return row;
}

// A script or an image does not tell the header fields it came with, so they are asked for once more, without a body.
async function loaded(path, kind, outcome) {
  const entries = performance.getEntriesByName(new URL(path, location).href);
  const timing = entries.find((entry) => entry.initiatorType !== "fetch");
  const asked = await fetch(path, { method: "HEAD", cache: "no-store" });
  const verdict = asked.headers.get("X-Consentry");
  const held = document.querySelector(`[data-consentry-src="${path}"]`);
  const stopped = held ? "parked: never asked for" : verdict && "came before, would not come now";
  return requestRow(path, kind, timing && timing.responseStatus, verdict, stopped || outcome(), stopped);
}

async function sent(path, options) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  const text = await answer.text();
  let outcome = "never reached the tracker";
  if (!answer.headers.has("X-Consentry")) {
    try {
      outcome = "counted, hit " + JSON.parse(text).counted;
    } catch {
      outcome = "answered " + answer.status;
    }
  }
  const verdict = answer.headers.get("X-Consentry");
  return requestRow(path.split("&")[0], options.method, answer.status, verdict, outcome, verdict);
}

let round = 0;

async function track() {
  const mine = ++round;
  const rows = [];
  const event = { n: "pageview", u: location.href, d: location.hostname };
  const capture = { api_key: "phc_lantern", event: "$pageview" };
  const script = (ran, what) => () => (ran ? "ran, and set " + what : "an empty script came");
  const pixel = document.getElementById("pixel");
  try {
    rows.push(await loaded("/analytics.js", "script", script(window.lanternAnalytics, "a cookie")));
    rows.push(await loaded("/matomo.js", "script", script(window.lanternMatomo, "two cookies")));
    rows.push(await loaded("/matomo.php?idsite=1&rec=1", "image", () => (pixel && pixel.naturalWidth > 1 ? "the tracker's pixel" : "a transparent pixel came")));
    rows.push(await sent("/g/collect?v=2&tid=G-LANTERN1&en=page_view", { method: "POST" }));
    rows.push(await sent("/ingest/e/", { method: "POST", body: JSON.stringify(capture) }));
    rows.push(await sent("/api/event", { method: "POST", body: JSON.stringify(event) }));
  } catch (error) {
    rows.push(requestRow("(the check failed)", String(error), "", "", "is the demo still running?"));
  }
  if (mine === round) requests.replaceChildren(...rows);
}

// --- The shop's own box ---

async function choose(event) {
  event.preventDefault();
  const { target: form, submitter } = event;
  const body = new URLSearchParams(new FormData(form, submitter));
  const answer = await fetch(submitter.getAttribute("formaction") || form.action, { method: "POST", body });
  const { purposes } = await answer.json();
  document.getElementById("choice").textContent = "In force now: " + purposes.join(", ") + ".";
  // A page that came when everything was granted is as the shop made it. Nobody in it can stop what has begun.
  if (!document.querySelector("script[data-granted]") && purposes.length < 4) location.reload();
}

function look() {
  showJar();
  showParked();
  showHosts().catch(() => {});
}

function start() {
  track().finally(look);
  setInterval(() => {
    if (document.visibilityState === "visible") look();
  }, 1500);
}

// Told by the guard, as soon as a choice is in force.
document.addEventListener("consentry:change", ({ detail }) => {
  const chat = document.getElementById("lantern-help");
  if (chat) chat.hidden = !detail.purposes.includes("preferences");
  look();
  // What was parked needs a moment to load.
  setTimeout(() => track().finally(look), 800);
});

if (banner) banner.addEventListener("submit", choose);
if (jar && requests) {
  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
}
