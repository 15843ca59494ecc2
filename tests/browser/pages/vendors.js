// What is served at the addresses that the vendors' snippets load, each after a line that names its address. It does in
// a few lines what matters here of what the vendor's own does: load more, set cookies, keep keys, report.

//= www.googletagmanager.com/gtag/js
for (const [command, id] of window.dataLayer || []) {
  if (command !== "config") continue;
  document.cookie = "_ga=GA1.1.123.456; path=/; max-age=63072000";
  document.cookie = `_ga_${id.slice(2)}=GS1.1.456.1.0.456.0.0.0; path=/; max-age=63072000`;
  fetch(`https://region1.google-analytics.com/g/collect?v=2&tid=${id}&en=page_view`, { method: "POST", mode: "no-cors", keepalive: true });
}
//= www.googletagmanager.com/gtm.js
document.cookie = "_gcl_au=1.1.123.456; path=/; max-age=7776000";
for (const src of ["https://static.ads-twitter.com/uwt.js", "https://www.redditstatic.com/ads/pixel.js"]) {
  const script = document.createElement("script");
  script.async = true;
  script.src = src;
  document.head.appendChild(script);
}
navigator.sendBeacon("https://stats.g.doubleclick.net/g/collect?v=2&tid=G-SHOP123456");
//= static.ads-twitter.com/uwt.js
document.cookie = "_twpid=tw.1.1; path=/";
new Image().src = "https://t.co/i/adsct?txn_id=1&p_id=Twitter";
//= www.redditstatic.com/ads/pixel.js
document.cookie = "_rdt_uuid=1.2; path=/";
new Image().src = "https://alb.reddit.com/rp.gif?event=PageVisit&id=t2_1";
//= connect.facebook.net/en_US/fbevents.js
{
  const script = document.createElement("script");
  script.src = "https://connect.facebook.net/signals/config/1234567890?v=2.9.1";
  document.head.appendChild(script);
}
//= connect.facebook.net/signals/config/
document.cookie = "_fbp=fb.0.123.456; path=/; max-age=7776000";
new Image().src = "https://www.facebook.com/tr/?id=1234567890&ev=PageView&dl=" + encodeURIComponent(location.href);
//= static.hotjar.com/c/hotjar-
{
  const script = document.createElement("script");
  script.async = true;
  script.src = "https://script.hotjar.com/modules.0123.js";
  document.head.appendChild(script);
}
//= script.hotjar.com/modules.
document.cookie = "_hjSessionUser_12345=abc; path=/; max-age=31536000";
document.cookie = "_hjSession_12345=abc; path=/; max-age=1800";
localStorage.setItem("_hjUserAttributesHash", "abc");
fetch("https://content.hotjar.io/?gzip=1", { method: "POST", body: "[]", headers: { "Content-Type": "text/plain" } }).catch(() => 0);
new WebSocket("wss://ws.hotjar.com/api/v2/client/ws?v=7").onopen = (event) => event.target.send("{}");
//= www.clarity.ms/tag/
{
  const script = document.createElement("script");
  script.async = true;
  script.src = "https://www.clarity.ms/s/0.7.59/clarity.js";
  document.getElementsByTagName("script")[0].before(script);
}
//= www.clarity.ms/s/
document.cookie = "_clck=abc; path=/; max-age=31536000";
document.cookie = "_clsk=abc; path=/; max-age=86400";
{
  const request = new XMLHttpRequest();
  request.open("POST", "https://k.clarity.ms/collect");
  request.withCredentials = true;
  request.send('{"e":["0.7.59"],"a":[]}');
}
//= snap.licdn.com/li.lms-analytics/insight.min.js
document.cookie = "li_fat_id=abc; path=/; max-age=2592000";
for (const id of window._linkedin_data_partner_ids || [12345]) {
  new Image().src = `https://px.ads.linkedin.com/collect?v=2&fmt=js&pid=${id}`;
}
//= analytics.tiktok.com/i18n/pixel/events.js
document.head.appendChild(document.createElement("script")).src = "https://analytics.tiktok.com/i18n/pixel/static/main.js";
//= analytics.tiktok.com/i18n/pixel/static/
document.cookie = "_ttp=abc; path=/; max-age=34000000";
document.cookie = "_tt_enable_cookie=1; path=/; max-age=34000000";
navigator.sendBeacon("https://analytics.tiktok.com/api/v2/pixel", '{"event":"Pageview"}');
//= bat.bing.com/bat.js
window.UET = function () {
  this.push = () => {
    for (const name of ["_uetsid", "_uetvid"]) {
      document.cookie = `${name}=abc; path=/; max-age=86400`;
      localStorage.setItem(name, "abc");
    }
    new Image().src = "https://bat.bing.com/action/0?ti=12345&Ver=2&mid=1&evt=pageLoad";
  };
};
//= cdn.matomo.cloud/shop.matomo.cloud/matomo.js
document.cookie = "_pk_id.1.1fff=abc.1.; path=/; max-age=33955200";
document.cookie = "_pk_ses.1.1fff=1; path=/; max-age=1800";
new Image().src = "https://shop.matomo.cloud/matomo.php?action_name=Lamps&idsite=1&rec=1";
//= js.hs-scripts.com/12345.js
document.head.appendChild(document.createElement("script")).src = "https://js.hs-analytics.net/analytics/1700000000000/12345.js";
//= js.hs-analytics.net/analytics/
for (const name of ["__hstc", "hubspotutk", "__hssc", "__hssrc"]) document.cookie = `${name}=1; path=/; max-age=1800`;
new Image().src = "https://track.hubspot.com/__ptq.gif?k=1&a=12345";
//= cdn.segment.com/analytics.js/
document.cookie = "ajs_anonymous_id=abc; path=/; max-age=31536000";
localStorage.setItem("ajs_anonymous_id", '"abc"');
fetch("https://api.segment.io/v1/p", { method: "POST", body: '{"writeKey":"SHOPKEY","anonymousId":"abc"}', headers: { "Content-Type": "text/plain" } }).catch(() => 0);
//= cdn.mxpnl.com/libs/
document.cookie = "mp_shoptoken_mixpanel=%7B%7D; path=/; max-age=31536000";
localStorage.setItem("__mpq_shoptoken_ev", "[]");
{
  const request = new XMLHttpRequest();
  request.open("POST", "https://api-js.mixpanel.com/track/?verbose=1&ip=1&_=1");
  request.setRequestHeader("Content-Type", "application/x-www-form-urlencoded");
  request.send("data=%5B%5D");
}
//= cdn.amplitude.com/libs/
window.amplitude = {
  init(key) {
    document.cookie = `AMP_${key}=abc; path=/; max-age=31536000`;
    localStorage.setItem(`AMP_unsent_${key}`, "[]");
    fetch("https://api2.amplitude.com/2/httpapi", { method: "POST", body: `{"api_key":"${key}","events":[]}` }).catch(() => 0);
  },
};
//= dynamic.criteo.com/js/ld/ld.js
document.cookie = "cto_bundle=abc; path=/; max-age=33696000";
{
  const frame = document.createElement("iframe");
  frame.width = frame.height = 0;
  frame.src = "https://gum.criteo.com/syncframe?topUrl=shop.localhost";
  document.body.appendChild(frame);
  const script = document.createElement("script");
  script.src = "https://sslwidget.criteo.com/event?a=12345&v=5";
  document.head.appendChild(script);
}
//= hm.baidu.com/hm.js
document.cookie = "Hm_lvt_0123456789abcdef=1; path=/; max-age=31536000";
document.cookie = "Hm_lpvt_0123456789abcdef=1; path=/";
new Image().src = "https://hm.baidu.com/hm.gif?si=0123456789abcdef&et=0";
//= s4.cnzz.com/z_stat.php
document.cookie = "UM_distinctid=abc; path=/; max-age=15768000";
document.cookie = "CNZZDATA12345=abc; path=/; max-age=15768000";
document.head.appendChild(document.createElement("script")).src = "https://c.cnzz.com/core.php?web_id=12345&t=z";
new Image().src = "https://z4.cnzz.com/stat.htm?id=12345";
//= sdk.51.la/js-sdk-pro.min.js
window.LA = {
  init({ id }) {
    document.cookie = `__51uvsct__${id}=1; path=/; max-age=15768000`;
    document.cookie = `__51vcke__${id}=abc; path=/; max-age=15768000`;
    navigator.sendBeacon("https://collect-v6.51.la/v6/collect?dt=4", "{}");
  },
};
//= static.sensorsdata.cn/sdk/
document.cookie = "sensorsdata2015jssdkcross=%7B%7D; path=/; max-age=63072000";
new Image().src = "https://shop.datasink.sensorsdata.cn/sa.gif?project=default&data=e30";
//= assets.giocdn.com/2.1/gio.js
document.cookie = "gr_user_id=abc; path=/; max-age=63072000";
navigator.sendBeacon("https://api.growingio.com/v3/shop1234/web/pv?stm=1", "[]");
//= zgsdk.zhugeio.com/zhuge.min.js
document.cookie = "zg_did=%7B%7D; path=/; max-age=31536000";
document.cookie = "zg_0123456789abcdef0123456789abcdef=%7B%7D; path=/; max-age=31536000";
new Image().src = "https://u.zhugeapi.com/web_event/web.gif?method=web_event_srv.upload";
//= www.youtube.com/iframe_api
document.head.appendChild(document.createElement("script")).src = "https://www.youtube.com/s/player/0123/www-widgetapi.js";
//= player.vimeo.com/api/player.js
window.Vimeo = { Player: class {} };
//= maps.googleapis.com/maps/api/js
window.google = {
  maps: {
    Map: class {
      constructor(place) {
        place.appendChild(document.createElement("img")).src = "https://maps.gstatic.com/mapfiles/transparent.png";
      }
    },
  },
};
window[new URL(document.currentScript.src).searchParams.get("callback")]();
//= www.google.com/recaptcha/api.js
document.head.appendChild(document.createElement("script")).src = "https://www.gstatic.com/recaptcha/releases/0123/recaptcha__en.js";
//= www.gstatic.com/recaptcha/releases/
for (const place of document.querySelectorAll(".g-recaptcha")) {
  const frame = document.createElement("iframe");
  frame.width = 304;
  frame.height = 78;
  frame.src = "https://www.google.com/recaptcha/api2/anchor?k=" + place.dataset.sitekey;
  place.appendChild(frame);
}
//= player.youku.com/jsapi
window.YKU = { Player: class {} };
