// Keeps the promise for what a page makes at run time. It comes before all else of a page, goes along into frames that
// begin empty and workers made of blobs, and never throws: what it cannot judge goes its usual way. A mask is a set of
// purposes, by bit. What is parked here looks as if the page had come with it parked.
(function guard(self, rules) {
  "use strict";
  delete self.__consentry;
  if (!rules) return;
  const { document, location, Blob, Event, URL } = self;
  const { apply, construct } = Reflect;
  const tag = document && document.currentScript;
  if (tag) Object.assign(rules, { host: new URL(tag.src).hostname, capped: "" }, tag.dataset);
  const quietly = (work) => {
    try {
      return work();
    } catch {}
  };

  // --- Verdicts ---

  const maskOf = (names) =>
    rules.purposes.reduce((mask, name, at) => (names.split(" ").includes(name) ? mask | (1 << at) : mask), 0);
  const namesOf = (mask) => rules.purposes.filter((_, at) => (mask >> at) & 1).join(" ");
  let granted = maskOf(rules.granted) | 1;

  const tables = {};
  const fits = (pattern, text) =>
    RegExp("^" + pattern.replace(/[^*\w]/g, "\\$&").replace(/\*/g, "[^]*") + "$", "i").test(text);
  // The purpose of the entry that weighs most, the operator's first; 0 if there is none.
  const find = (kind, weigh) => {
    tables[kind] = tables[kind] || rules[kind].map((tier) => tier.flatMap((text, at) =>
      (text.match(/\S+/g) || []).map((entry) => [1 << at, ...entry.match(/(=?)([^/]*)(.*)/)])));
    return tables[kind].reduce((mask, entries) => {
      let most = mask ? Infinity : 0;
      for (const entry of entries) {
        const weight = weigh(entry);
        if (weight > most) [most, mask] = [weight, entry[0]];
      }
      return mask;
    }, 0);
  };
  const findName = (kind, name) => find(kind, ([, pattern]) => {
    const parts = pattern.split("*");
    return name.toLowerCase().startsWith(parts[0].toLowerCase()) && fits(pattern, name) && 9 + pattern.length * 2 - parts.length * 3;
  });

  const memory = new Map();
  const denied = (key, work) => {
    if (memory.size > 999) memory.clear();
    if (!memory.has(key)) memory.set(key, work());
    return memory.get(key) & ~granted;
  };
  const cookieDenied = (name) => name !== rules.cookie && denied("cookie " + name, () =>
    findName("cookies", name) || (rules.unknown && rules.offered.reduce((mask, at) => mask | (1 << at), 0)));
  const keyDenied = (key) => denied("key " + key, () =>
    findName("storage", key) || (/_/.test(key) && findName("cookies", key)));

  const base = () => (document ? document.baseURI : location.href);
  const resolve = (url) => new URL(url, base());
  const isOwn = (host) => `${rules.own} ${rules.host}`.split(" ").some((own) =>
    own === host || (own[0] === "*" && host.endsWith(own.slice(1))));
  const findUrl = (text) => quietly(() => {
    const { protocol, hostname, pathname } = resolve(text);
    const host = hostname.replace(/\.$/, "");
    const path = unescape(pathname).replace(/[/\\]+/g, "/");
    return /^(http|ws)/.test(protocol) && !isOwn(host) && find("hosts", ([, , exact, name, rest]) =>
      (host === name || (!exact && host.endsWith("." + name))) && (!rest || fits(rest, path)) && name.length * 999 + rest.length + 1);
  });
  // The purposes that are denied for a URL; 0 if it may be asked for.
  const judge = (url) => {
    const text = String((url && url.url) || url);
    return /^(data|blob):/.test(text) ? 0 : denied(text + base(), () => findUrl(text));
  };

  // --- Elements ---

  const attributes = { __proto__: null };
  for (const kind of ("script:src,href,xlink:href img:src,srcset iframe:src,srcdoc frame:src embed:src object:data " +
    "source:src,srcset track:src audio:src video:src,poster link:href,imagesrcset input:src,formaction form:action " +
    "button:formaction a:ping area:ping image:href,xlink:href use:href,xlink:href feImage:href style:").split(" ")) {
    const [, name, list] = kind.match(/(\w+):(.*)/);
    attributes[name] = list.split(",");
  }
  const PARKED = "data-consentry";
  const byScript = new WeakSet();

  let found;
  // What may stay of some URLs; the purposes of the others are added to `found`.
  const keep = (urls) => urls.filter((url) => {
    const mask = judge(url.split(/\s/)[0]);
    found |= mask;
    return !mask;
  });
  const siftStyle = (text) =>
    text.replace(/(url\(\s*["']?|@import\s+["']|["'](?=https?:|\/\/))([^"')\s]+)/gi, (all, before, url) =>
      keep([url])[0] ? all : before + "about:invalid#" + url);
  // What may stay of an attribute.
  const sift = ({ localName }, name, value) => {
    found = 0;
    if (name === "style") return siftStyle(value);
    if (!value || !(attributes[localName] || []).includes(name)) return;
    if (/set$/.test(name)) return keep(value.match(/\S*[^\s,](\s+[^,]+)?/g) || []).join(", ");
    if (name === "ping") return keep(value.match(/\S+/g) || []).join(" ");
    keep([value.trim()]);
    if (/action/.test(name)) return rules.prefix + "/blocked";
    if (found && /frame/.test(localName)) return held(value);
  };
  const held = (url) => `${rules.prefix}/held?u=${encodeURIComponent(resolve(url))}&l=${document.documentElement.lang}`;
  const park = (element, name, value, rest) => {
    const type = element.getAttribute("type");
    element.setAttribute(PARKED, namesOf(found | maskOf(element.getAttribute(PARKED) || "")));
    if (rest) element.setAttribute(name, rest);
    else element.removeAttribute(name);
    if (name !== "style") element.setAttribute(PARKED + "-" + name, value);
    if (element.localName === "script" && type !== "text/plain") {
      if (type) element.setAttribute(PARKED + "-type", type);
      element.setAttribute("type", "text/plain");
    }
  };
  const retype = (element) => {
    if (element.localName === "script" && element.type === "text/plain") element.type = element.getAttribute(PARKED + "-type") || "text/javascript";
  };
  // Loaders that wait for an element go on.
  const fail = (element) => {
    byScript.add(element);
    if (/^(script|img|link)$/.test(element.localName)) setTimeout(() => element.dispatchEvent(new Event("error")));
  };

  // Parks what is denied of an element as it is.
  const check = (element) => {
    let parked = 0;
    for (const name of [...(attributes[element.localName] || []), "style"]) {
      const value = element.getAttribute(name);
      if (value && name === "srcdoc") element.srcdoc = value;
      const rest = value && sift(element, name, value);
      if (value && found) park(element, name, value, rest);
      if (value) parked |= found;
    }
    if (element.localName === "style") {
      found = 0;
      const rest = siftStyle(element.textContent);
      if (found) element.setAttribute(PARKED, namesOf(found)), (element.textContent = rest);
      parked |= found;
    }
    return parked;
  };
  const checkBelow = (root) => root.querySelectorAll(Object.keys(attributes) + ",[style]").forEach(check);
  // Judges the last of `args`, which a script wants an attribute to be. A result says that it waits instead.
  const assign = (element, name, args) => {
    const value = args.pop();
    args.push(name === "srcdoc" ? guarded(value) : value);
    const rest = sift(element, name, String(value));
    if (found) {
      park(element, name, value, rest);
      fail(element);
      return [];
    }
    if (element.hasAttribute(PARKED + "-" + name)) {
      element.removeAttribute(PARKED + "-" + name);
      retype(element);
    }
  };
  const admit = (node, parent) => {
    if (node.nodeType === 3 && parent.localName === "style") node.data = siftStyle(node.data);
    if (node.nodeType === 1 && check(node)) fail(node);
    // What scripts made in this document is judged already.
    if (node.firstElementChild && node.ownerDocument !== (parent.ownerDocument || parent)) checkBelow(node);
  };

  // --- Markup ---

  const inert = document && document.implementation.createHTMLDocument("");
  // Tag by tag, for markup may end anywhere; each other byte stays as it is.
  const siftMarkup = (text) => {
    const isSuspect = (part) => /[/\\]\s*[/\\]|&|srcdoc/i.test(part) || judge("");
    if (typeof text !== "string" || !isSuspect(text)) return text;
    return siftStyle(text).replace(/<[a-z](=\s*"[^"]*"|=\s*'[^']*'|[^>])*>/gi, (start) => {
      const template = inert.createElement("template");
      if (isSuspect(start)) template.innerHTML = start;
      const element = template.content.firstChild;
      return element && (check(element) || element.srcdoc) ? element.outerHTML.replace(/>(<\/[^>]*>)?$/, start.match(/\/?>$/)[0]) : start;
    });
  };
  // The document of a frame, with the guard first.
  const guarded = (text) => typeof text !== "string" || text.includes(tag.src) ? text :
    siftMarkup(text).replace(/^(\s*<!doctype[^>]*>)?/i, (start) => {
      for (const script of [tag.previousElementSibling, tag]) {
        const copy = script.cloneNode();
        copy.setAttribute("nonce", tag.nonce);
        copy.setAttribute("data-granted", namesOf(granted));
        start += copy.outerHTML;
      }
      return start;
    });

  // --- What pages call ---

  const ours = new WeakSet();
  const animated = new WeakMap();
  const restored = new WeakMap();
  const blobs = new Map();
  let unfinished = "";

  const install = (window) => {
    // Goes before calls and assignments. If `before` gives an array, that holds the result; it may change `args`.
    const wrap = (owners, names, before, after) => {
      for (const owner of owners.split(" ")) for (const entry of names.split(" ")) {
        const [name, part = "value"] = entry.split(":");
        const object = owner ? window[owner] && window[owner].prototype : window;
        const property = object && Reflect.getOwnPropertyDescriptor(object, name);
        const original = property && property[part];
        if (!original || ours.has(original)) continue;
        const run = (args, self, proceed) => {
          const done = quietly(() => before(args, self, name));
          if (done) return done[0];
          const result = proceed();
          if (after) quietly(() => after(result, self, args));
          return result;
        };
        property[part] = new Proxy(original, {
          apply: (_, self, args) => run(args, self, () => apply(original, self, args)),
          construct: (_, args, target) => run(args, target, () => construct(original, args, target)),
        });
        ours.add(property[part]);
        Object.defineProperty(object, name, property);
      }
    };
    const pass = () => {};
    const refuse = (answer) => ([url]) => judge(url) && [answer()];
    const redirect = (url) => (args) => { if (judge(args[0])) args[0] = url; };
    const adopt = () => {
      for (let at = 0; at < window.length; at++) enter(window[at]);
    };

    wrap("", "fetch", refuse(() => Promise.resolve(new Response(null, { status: 204 }))), (answer) =>
      answer.then((response) => heed(response.url, () => response.clone().json())).catch(pass));
    wrap("XMLHttpRequest", "open", (args, request) => {
      if (judge(args[1])) args.splice(0, 2, "GET", "data:,");
      request.addEventListener("load", () => quietly(() => heed(request.responseURL, () => JSON.parse(request.responseText))));
    });
    wrap("Navigator", "sendBeacon", refuse(() => true));
    wrap("Worklet", "addModule", refuse(() => Promise.resolve()));
    wrap("", "open", refuse(() => null), enter);
    // A forbidden port and an address without data: nothing is asked for, and the page is told so.
    wrap("", "WebSocket", redirect("wss://localhost:1"));
    wrap("", "WebTransport", redirect("https://localhost:1"));
    wrap("", "EventSource Audio importScripts", redirect("data:,"));
    wrap("", "Worker SharedWorker", (args) => {
      const blob = blobs.get(String(args[0]));
      if (blob) args[0] = URL.createObjectURL(new Blob([`(${guard})(self,${JSON.stringify({ ...rules, granted: namesOf(granted) })});`, blob], blob));
    });
    const { createObjectURL, revokeObjectURL } = URL;
    if (!document) return;

    if (window.navigation) window.navigation.addEventListener("navigate", (event) => {
      if (!event.userInitiated && event.cancelable && judge(event.destination)) event.preventDefault();
    });

    const elements = Object.getOwnPropertyNames(window).filter((name) => /^(HTML|SVG).*Element$/.test(name)).join(" ");
    const properties = "src srcset srcdoc href data poster ping action formAction imageSrcset";
    wrap(elements, properties.replace(/\w+/g, "$&:set"), (args, element, name) => assign(element, name.toLowerCase(), args));
    wrap(elements, properties.replace(/\w+/g, "$&:get"), (_, element, name) => {
      const value = element.getAttribute(PARKED + "-" + name.toLowerCase());
      return value && [/set|ping/.test(name) ? value : resolve(value).href];
    }, (value, element) => animated.set(value, element));
    wrap("SVGAnimatedString", "baseVal:set", (args, value) => assign(animated.get(value), "href", args));
    wrap("Element", "setAttribute", (args, element) => assign(element, String(args[0]).toLowerCase(), args));
    wrap("Element", "setAttributeNS", (args, element) => assign(element, args[1], args));
    wrap("Element", "setAttributeNode setAttributeNodeNS", ([{ name, value }], element) => assign(element, name, [value]));

    const clean = (args) => args.forEach((text, at) => {
      if (typeof text === "string") args[at] = siftStyle(text);
    });
    const cleanIn = (args, element) => { if (element.localName === "style") clean(args); };
    wrap("CSSStyleSheet CSSGroupingRule CSSStyleDeclaration", "insertRule replace replaceSync setProperty cssText:set", clean);
    wrap("", "FontFace", clean);
    wrap("Node", "textContent:set", cleanIn);
    // Single properties of a style cannot be stood before; this comes ahead of painting.
    new MutationObserver((records) => records.forEach(({ target }) => check(target)))
      .observe(window.document, { subtree: true, attributeFilter: ["style"] });

    wrap("Node Element Document DocumentFragment CharacterData Range", "appendChild insertBefore replaceChild append prepend after before " +
      "replaceWith replaceChildren moveBefore insertAdjacentElement insertNode", (args, parent) => {
      cleanIn(args, parent);
      args.forEach((node) => node && node.nodeType && admit(node, parent));
    }, adopt);
    const markup = (args) => { args.push(siftMarkup(args.pop())); };
    wrap("Element ShadowRoot Range TrustedTypePolicy", "innerHTML:set outerHTML:set insertAdjacentHTML setHTMLUnsafe createContextualFragment createHTML", markup, adopt);
    wrap("Document", "importNode adoptNode", pass, (node) => checkBelow(node));
    wrap("Document", "write writeln", (args, page, name) => {
      const text = unfinished + args.join("") + (name === "writeln" ? "\n" : "");
      unfinished = text.match(/(<[a-z][^>]*|<\/?)?$/i)[0];
      args.splice(0, args.length, siftMarkup(text.slice(0, -unfinished.length || undefined)));
      const script = page.currentScript;
      if (!restored.has(script)) return;
      const fragment = page.createRange().createContextualFragment(args[0]);
      const last = fragment.lastChild;
      restored.get(script).after(fragment);
      if (last) restored.set(script, last);
      return [];
    }, adopt);
    wrap("HTMLIFrameElement", "contentWindow:get", pass, enter);
    wrap("HTMLIFrameElement", "contentDocument:get", pass, (page) => enter(page.defaultView));

    wrap("Document", "cookie:set", ([text]) => {
      const name = /^[\s=]*"?([^=;"]*?)"?\s*(=|;|$)/.exec(text)[1];
      const age = /.*;\s*max-age\s*=\s*(-?\d+)/i.exec(text);
      const expiry = /.*;\s*expires\s*=([^;]*)/i.exec(text);
      return !(age ? age[1] <= 0 : expiry && Date.parse(expiry[1]) < Date.now()) && cookieDenied(name) && [];
    });
    wrap("CookieStore", "set", ([cookie]) =>
      !(cookie.expires < Date.now()) && cookieDenied(cookie.name || cookie) && [Promise.resolve()]);
    wrap("Storage", "setItem", ([key]) => keyDenied(String(key)) && []);
    wrap("", "localStorage:get sessionStorage:get", pass, () => Promise.resolve().then(sweep));
  };
  const known = new WeakSet();
  // Empty frames come without a guard.
  const enter = (window) => quietly(() => {
    const page = window.document;
    if (known.has(page) || !/^about:blank/.test(page.URL)) return;
    known.add(page);
    install(window);
  });

  // --- The choice ---

  const storages = ["localStorage", "sessionStorage"].map((name) => quietly(() => self[name]) || {});
  // Keys from before, or set as properties.
  const sweep = () => storages.forEach((storage) => Object.keys(storage).forEach((key) => keyDenied(key) && storage.removeItem(key)));

  const waiting = (root) => [...root.querySelectorAll("*")].flatMap((element) => {
    const inner = element.shadowRoot || element.contentDocument || element.content;
    return [element, ...(inner && inner.querySelectorAll ? waiting(inner) : [])];
  }).filter((element) => element.matches(`[${PARKED}],[style*="about:invalid#"]`));
  const unpark = (element) => {
    const heal = (owner, name) => { owner[name] = owner[name].replace(/about:invalid#/g, ""); };
    retype(element);
    if (element.style) heal(element.style, "cssText");
    if (element.localName === "style") heal(element, "textContent");
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith(PARKED)) continue;
      const real = name.slice(PARKED.length + 1);
      element.removeAttribute(name);
      // Nothing that a page took for mere data may become code.
      if (/^(http-equiv|background|content)$/.test(real) || ((attributes[element.localName] || []).includes(real) && /^http/.test(resolve(value).protocol))) element.setAttribute(real, value);
    }
  };
  const run = (script) => new Promise((done) => {
    if (tag.nonce && script.nonce !== tag.nonce && !byScript.has(script)) return done();
    const { parentNode, nextSibling } = script;
    const external = script.matches(`[${PARKED}-src]`);
    restored.set(script, script);
    script.addEventListener("load", done);
    script.addEventListener("error", done);
    if (!script.hasAttribute("async")) script.async = false;
    else done();
    unpark(script);
    if (external) return;
    script.remove();
    parentNode.insertBefore(script, nextSibling);
    done();
  });
  const restore = async () => {
    const ready = waiting(document).filter((element) => !(maskOf(element.getAttribute(PARKED) || "") & ~granted));
    const isScript = (element) => element.localName === "script" && element.isConnected;
    const isLate = (script) => script.defer || /module/.test(script.getAttribute(PARKED + "-type"));
    ready.filter((element) => !isScript(element)).forEach(unpark);
    const scripts = ready.filter(isScript);
    for (const script of scripts.filter((script) => !isLate(script))) await run(script);
    scripts.filter(isLate).forEach(run);
  };
  const change = (names) => {
    const next = (maskOf(names) & ~maskOf(rules.capped)) | 1;
    const lost = granted & ~next;
    if (next === granted) return;
    granted = next;
    stubs.forEach((stub, name) => { if (self[name] === stub) delete self[name]; });
    if (lost) {
      sweep();
      document.querySelectorAll("iframe,frame,object,embed").forEach(check);
      const ends = (text, mark) => text.split(mark).map((_, at, all) => [all.slice(at).join(mark), all.slice(0, at + 1).join(mark)]);
      for (const [name] of document.cookie.split("; ").map((pair) => pair.split("="))) {
        if (!cookieDenied(name)) continue;
        for (const domain of ["", ...location.hostname.split(".").map((_, at, all) => ";domain=" + all.slice(at).join("."))]) {
          for (const path of location.pathname.split("/").map((_, at, all) => all.slice(0, at + 1).join("/"))) {
            document.cookie = `${name}=;max-age=0;path=${path || "/"}${domain}`;
          }
        }
      }
    }
    restore();
    document.dispatchEvent(new CustomEvent("consentry:change", { detail: { purposes: namesOf(granted).split(" ") } }));
  };
  const heed = async (url, read) => {
    const { hostname, pathname } = new URL(url);
    if (isOwn(hostname) && /^.(consent|withdraw)$/.test(pathname.replace(rules.prefix, ""))) change((await read()).purposes.join(" "));
  };

  const stubs = new Map();
  install(self);
  if (!tag) return;
  const nativeFetch = self.fetch;
  const chosen = () => document.cookie.split("; ").find((pair) => pair.startsWith(rules.cookie + "="));
  let last = chosen();
  const look = () => {
    const now = chosen();
    if (now !== last) change(now ? now.split("~")[1].replace(/\./g, " ") : "");
    last = now;
  };
  document.addEventListener("consentry:change", look);
  document.addEventListener("visibilitychange", look);
  self.addEventListener("pageshow", look);
  if (self.cookieStore) self.cookieStore.addEventListener("change", look);
  // The form in a held frame.
  document.addEventListener("load", ({ target }) => quietly(() => {
    const page = target.contentDocument;
    if (target.contentWindow.location.pathname !== rules.prefix + "/held") return;
    page.addEventListener("submit", (event) => {
      event.preventDefault();
      const purposes = new FormData(event.target).getAll("purposes");
      fetch(rules.prefix + "/consent", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ purposes }) });
    });
  }), true);
  rules.globals.forEach((names, at) => {
    if (!((1 << at) & ~granted)) return;
    for (const name of names.split(" ")) if (name && !(name in self)) {
      stubs.set(name, self[name] = new Proxy(() => {}, { get: (target, key) => key in target || key === "then" || key.at === undefined ? target[key] : stubs.get(name) }));
    }
  });
  sweep();
})(self, self.__consentry);
