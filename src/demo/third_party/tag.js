// Plays a vendor of statistics: it remembers the visitor in a cookie and a storage key of the page, and reports what the
// page queued, each further event, and every five seconds that somebody is still there.
(function () {
  "use strict";
  const collect = "http://tags.lantern-metrics.localhost:{{port}}/collect?event=";
  document.cookie = "lmetrics_visitor=" + Date.now() + "; Path=/; Max-Age=63072000; SameSite=Lax";
  localStorage.setItem("lmetrics.pages", Number(localStorage.getItem("lmetrics.pages")) + 1);
  const queued = (window.lanternMetrics && window.lanternMetrics.queue) || [];
  window.lanternMetrics = (event) => navigator.sendBeacon(collect + encodeURIComponent(event), document.title);
  queued.forEach(window.lanternMetrics);
  setInterval(() => {
    if (document.visibilityState === "visible") window.lanternMetrics("still-here");
  }, 5000);
})();
