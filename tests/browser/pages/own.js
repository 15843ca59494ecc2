// Whether what the shop itself does still works. `own` says for each part `true`, or what went wrong. With `data-few`
// only the parts are tried that are done in no time.
var own = {}, ownDone = false, ownFew = document.currentScript.hasAttribute("data-few");

// Under trusted types, the page has made a policy called `shop`.
var ownTrust = (kind, text) => (typeof shop === "undefined" ? text : shop["create" + kind](text));

(async () => {
  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
    return true;
  };
  const inTime = (promise) =>
    Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject("not in time"), 5000))]);
  const parts = {
    inline: async () => ownInline,
    style: () => until(() => getComputedStyle(document.getElementById("own-title")).letterSpacing === "3px"),
    image: () => until(() => document.getElementById("own-image").naturalWidth > 0),
    fetch: async () => (await (await fetch("/own/data.json")).json()).price === 48,
    request: () => new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("GET", "data.json".replace(/^/, "/own/"));
      request.onload = () => resolve(request.status === 200 && JSON.parse(request.responseText).price === 48);
      request.send();
    }),
    login: async () => {
      const answer = await fetch("/own/login", { method: "POST", body: new URLSearchParams({ name: "ada" }) });
      return answer.ok && (await (await fetch("/own/account")).text()) === "welcome back";
    },
    form: async () => {
      document.getElementById("own-form").submit();
      return until(() => frames["own-frame"].document.body?.textContent === "quantity=2");
    },
    socket: () => new Promise((resolve) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/own/socket");
      socket.onmessage = (event) => { socket.close(); resolve(event.data === "echo lamp"); };
      socket.onopen = () => socket.send("lamp");
      socket.onerror = () => resolve("closed");
    }),
    worker: () => new Promise((resolve) => {
      new Worker(ownTrust("ScriptURL", "/own/worker.js")).onmessage = (event) => resolve(event.data === "ready");
    }),
    serviceWorker: async () => {
      const { installing, waiting, active } = await navigator.serviceWorker.register(ownTrust("ScriptURL", "/own/service-worker.js"), { scope: "/own/lamps/" });
      const channel = new MessageChannel();
      const answer = new Promise((resolve) => { channel.port1.onmessage = (event) => resolve(event.data === "ready"); });
      (installing || waiting || active).postMessage(0, [channel.port2]);
      return answer;
    },
    cookie: async () => {
      document.cookie = "cart_items=2; path=/";
      return document.cookie.includes("cart_items=2");
    },
    storage: async () => {
      localStorage.setItem("cart", "2");
      sessionStorage.cart = "2";
      return localStorage.getItem("cart") === "2" && sessionStorage.getItem("cart") === "2";
    },
    markup: async () => {
      const box = document.createElement("div");
      box.innerHTML = ownTrust("HTML", "<p class='made'><img src='/own/image.svg' alt=''></p>");
      document.body.append(box);
      return until(() => document.querySelector(".made img").naturalWidth > 0);
    },
    script: () => new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = ownTrust("ScriptURL", "/own/part.js");
      script.onload = () => resolve(globalThis.ownPart === true);
      script.onerror = () => resolve("not loaded");
      document.head.append(script);
    }),
  };
  const few = ["inline", "style", "image", "fetch", "cookie", "storage", "markup"];
  await Promise.all(Object.entries(parts).filter(([name]) => !ownFew || few.includes(name)).map(async ([name, part]) => {
    try { own[name] = await inTime(part()); } catch (error) { own[name] = String(error); }
  }));
  ownDone = true;
})();
