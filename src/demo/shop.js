// Sends the page's tracking requests, and shows what became of them. Everything is written as text, never as markup.
"use strict";

const jar = document.getElementById("jar");
const requests = document.getElementById("requests");

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showJar() {
  const cookies = document.cookie.split("; ").filter(Boolean);
  const lines = cookies.map((cookie) => {
    const line = document.createElement("li");
    line.append(element("code", cookie));
    return line;
  });
  jar.replaceChildren(...(lines.length ? lines : [element("li", "no cookie that a script can see", "none")]));
}

function showRequest(name, kind, status, consentry, outcome) {
  const row = document.createElement("tr");
  const what = document.createElement("td");
  what.append(element("code", name), " ", element("small", kind));
  const verdict = element("td", "");
  verdict.append(element("code", consentry || "–"));
  row.append(what, element("td", status || "–"), verdict, element("td", outcome, consentry ? "stopped" : "reached"));
  requests.append(row);
}

// A script or an image does not tell the header fields it came with, so they are asked for once more, without a body.
async function loaded(path, kind, outcome) {
  const [timing] = performance.getEntriesByName(new URL(path, location).href);
  const asked = await fetch(path, { method: "HEAD", cache: "no-store" });
  showRequest(path, kind, timing && timing.responseStatus, asked.headers.get("X-Consentry"), outcome);
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
  showRequest(path.split("&")[0], options.method, answer.status, answer.headers.get("X-Consentry"), outcome);
}

async function track() {
  const event = { n: "pageview", u: location.href, d: location.hostname };
  const capture = { api_key: "phc_lantern", event: "$pageview" };
  await loaded("/analytics.js", "script", window.lanternAnalytics ? "ran, and set a cookie" : "an empty script came");
  await loaded("/matomo.js", "script", window.lanternMatomo ? "ran, and set two cookies" : "an empty script came");
  const pixel = document.getElementById("pixel");
  const wide = pixel && pixel.naturalWidth > 1;
  await loaded("/matomo.php?idsite=1&rec=1", "image", wide ? "the tracker's pixel" : "a transparent pixel came");
  await sent("/g/collect?v=2&tid=G-LANTERN1&en=page_view", { method: "POST" });
  await sent("/ingest/e/", { method: "POST", body: JSON.stringify(capture) });
  await sent("/api/event", { method: "POST", body: JSON.stringify(event) });
}

if (jar && requests) {
  const report = (error) => showRequest("(the check failed)", String(error), "", "", "is the demo still running?");
  const start = () => track().catch(report).finally(showJar);
  if (document.readyState === "complete") start();
  else window.addEventListener("load", start);
}
