// Plays a tag manager: whatever others have put into its container, it puts into the page.
(function () {
  "use strict";
  const script = document.createElement("script");
  script.async = true;
  script.src = "http://pixel.lantern-ads.localhost:{{port}}/ads.js";
  document.head.appendChild(script);
  new Image().src = "http://tags.lantern-metrics.localhost:{{port}}/hit.gif?by=container";
})();
