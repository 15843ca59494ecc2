// Plays an advertising network: a cookie and a profile to know the visitor again by, and a pixel made by script.
(function () {
  "use strict";
  document.cookie = "lads_visitor=" + Date.now() + "; Path=/; Max-Age=63072000; SameSite=Lax";
  localStorage.setItem("lads.profile", "likes lanterns");
  new Image().src = "http://pixel.lantern-ads.localhost:{{port}}/view.gif?page=" + encodeURIComponent(location.pathname);
})();
