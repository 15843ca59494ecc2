// Holds back what a page makes at run time, until it is granted. Never throws: what it cannot judge goes its usual way.
// A mask is a set of purposes, by bit.
(function (self, rules) {
  "use strict";
  delete self.__consentry;
  if (!rules) return;
  const { document, location, fetch, URL } = self;
  const { apply, construct } = Reflect;
  const tag = document.currentScript;
  const { granted: given, capped = "" } = tag.dataset;
  const pass = () => {};
  const quietly = (work) => {
    try {
      return work();
    } catch {}
  };

  // --- Verdicts ---

  const maskOf = (names) =>
    rules.purposes.reduce((mask, name, at) => mask | (names.split(" ").includes(name) << at), 0);
  const namesOf = (mask) => rules.purposes.filter((_, at) => (mask >> at) & 1).join(" ");
  let granted = maskOf(given) | 1;

  const fits = (pattern, text) =>
    RegExp("^" + pattern.replace(/[^*\w]/g, "\\$&").replace(/\*/g, "[^]*") + "$", "i").test(text);
  // Of the entry that weighs most, the operator's first.
  const find = (kind, weigh) => {
    for (const tier of rules[kind]) {
      const weights = tier.map((entries) => Math.max(...entries.split(" ").map(weigh)));
      const most = Math.max(...weights);
      if (most > 0) return 1 << weights.indexOf(most);
    }
  };
  const findName = (kind, name) => find(kind, (pattern) => {
    const [head, ...rest] = pattern.split("*");
    return name.toLowerCase().startsWith(head.toLowerCase()) && fits(pattern, name) && pattern.length - 9 * rest.length + 999;
  });
  const memory = new Map();
  const denied = (key, work) => {
    if (!memory.has(key)) memory.set(key, work());
    return memory.get(key) & ~granted;
  };
  const cookieDenied = (name) => name !== rules.cookie && denied("cookie " + name, () =>
    findName("cookies", name) || (rules.unknown && rules.offered.reduce((mask, at) => mask | (1 << at), 0)));
  const keyDenied = (key) => denied("key " + key, () =>
    findName("storage", key) || (/_/.test(key) && findName("cookies", key)));

  const resolve = (url) => new URL(url, document.baseURI);
  const ownHosts = `${rules.own} ${resolve(tag.src).hostname}`.split(" ");
  // The purposes that are denied for a URL.
  const judge = (url) => quietly(() => {
    if (/^(data|blob):/.test(url)) return;
    const { protocol, hostname, pathname } = resolve(url.url || url);
    const host = hostname.replace(/\.$/, "");
    const path = unescape(pathname).replace(/[/\\]+/g, "/");
    return /^(http|ws)/.test(protocol) && !ownHosts.some((own) => own === host || fits(own, host)) && denied(host + path, () =>
      find("hosts", (entry) => {
        const [, exact, name, rest] = entry.match(/(=?)([^/]*)(.*)/);
        return (host === name || (!exact && host.endsWith("." + name))) && (!rest || fits(rest, path)) && name.length * 999 + rest.length + 1;
      }));
  });

  // --- Elements ---

  const attributes = { __proto__: null };
  for (const kind of ("script:src,href,xlink:href img:src,srcset iframe:src,srcdoc frame:src embed:src object:data source:src,srcset " +
    "track:src audio:src video:src,poster link:href,imagesrcset input:src,formaction button:formaction form:action a:ping " +
    "area:ping image:href,xlink:href use:href,xlink:href body:background meta:http-equiv style:").split(" ")) {
    const [, name, list] = kind.match(/(\w+):(.*)/);
    attributes[name] = list.split(",");
  }
  const PARKED = "data-consentry";
  const ours = new WeakSet();

  let found;
  // What may stay; the purposes of the rest are added to `found`.
  const keep = (urls) => urls.filter((url) => {
    const mask = judge(url.split(" ")[0]);
    found |= mask;
    return !mask;
  });
  const siftStyle = (text) =>
    text.replace(/(url\((?:\s|["']|&quot;)*|@import\s+["']|["'](?=https?:|\/\/))([^"')\s]+)/gi, (all, before, url) =>
      keep([url])[0] ? all : before + "about:invalid#" + url);
  const sift = (kind, name, value) => {
    found = 0;
    if (name === "srcdoc") return guarded(value);
    value = String(value);
    if (name === "style") return siftStyle(value);
    if (!value || !attributes[kind]?.includes(name)) return;
    if (/set$/.test(name)) return keep(value.match(/\S*[^\s,](\s+[^,]+)?/g) || []).join(", ");
    if (name === "ping") return keep(value.match(/\S+/g) || []).join(" ");
    keep([value.trim()]);
    if (/action/.test(name)) return rules.prefix + "/blocked";
    if (found && /frame/.test(kind)) return `${rules.prefix}/held?u=${encodeURIComponent(resolve(value))}&l=${document.documentElement.lang}`;
  };
  const retype = (element) => {
    if (element.localName === "script" && element.type === "text/plain") element.type = element.getAttribute(PARKED + "-type") || "text/javascript";
  };
  // The last of `args` is to be the attribute. A result says that it waits instead.
  const assign = (element, name, args) => {
    const at = args.length - 1;
    const value = args[at];
    const kind = element.localName;
    const rest = sift(kind, name, value);
    if (/^(style|srcdoc)$/.test(name)) args[at] = rest;
    else if (found) {
      if (rest) element.setAttribute(name, rest);
      else element.removeAttribute(name);
      element.setAttribute(PARKED, namesOf(found | maskOf(element.getAttribute(PARKED) || "")));
      element.setAttribute(PARKED + "-" + name, value);
      ours.add(element);
      // Loaders that wait for it go on.
      if (/^(script|img|link)$/.test(kind)) setTimeout(() => element.dispatchEvent(new Event("error")));
      if (kind === "script" && element.type !== "text/plain") {
        if (element.type) element.setAttribute(PARKED + "-type", element.type);
        element.type = "text/plain";
      }
      return [];
    } else if (element.hasAttribute(PARKED + "-" + name)) {
      element.removeAttribute(PARKED + "-" + name);
      retype(element);
    }
  };
  const check = (element) => {
    for (const name of [...(attributes[element.localName] || []), "style"]) {
      const value = element.getAttribute(name);
      const args = [value];
      if (value && !element.hasAttribute(PARKED + "-" + name)) assign(element, name, args);
      if (args[0] !== value) element.setAttribute(name, args[0]);
    }
    if (element.localName === "style") {
      const text = siftStyle(element.textContent);
      if (text !== element.textContent) element.textContent = text;
    }
  };
  const checkBelow = (root) => root.querySelectorAll(Object.keys(attributes) + ",[style]").forEach(check);

  // --- Markup ---

  // Tag by tag, for markup may end anywhere.
  const siftMarkup = (text) => typeof text !== "string" ? text : text
    .replace(/(<style[^>]*>)([^]*?)(?=<\/style|$)/gi, (_, start, css) => start + siftStyle(css))
    .replace(/<([a-z]\w*)((=\s*"[^"]*"|=\s*'[^']*'|[^>])*)/gi, (_, kind, list) => {
      let parked = 0;
      list = list.replace(/([^\s"'=/]+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/g, (all, name, quoted) => {
        if (/^style$/i.test(name)) return siftStyle(all);
        const value = quoted.replace(/["']/g, "").replace(/&#(x?)(\w+);?/gi, (_, hex, code) => String.fromCodePoint(parseInt(code, hex ? 16 : 10)));
        const rest = sift(kind.toLowerCase(), name.toLowerCase(), value);
        parked |= found;
        return !found ? all : `${PARKED}-${name}=${quoted}` + (rest ? ` ${name}="${rest}"` : "");
      });
      if (parked && /^script$/i.test(kind)) list = ' type="text/plain"' + list.replace(/\stype=/i, ` ${PARKED}-type=`);
      return `<${kind}${parked ? ` ${PARKED}="${namesOf(parked)}"` : ""}${list}`;
    });
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

  let unfinished = "";

  const install = (window) => {
    // `before` may change the arguments, or give the result in an array.
    const wrap = (owners, names, before, after) => {
      for (const owner of owners.split(" ")) for (const entry of names.split(" ")) {
        const [name, part = "value"] = entry.split(":");
        const object = owner ? window[owner]?.prototype : window;
        const property = object && Object.getOwnPropertyDescriptor(object, name);
        const original = property?.[part];
        if (!original || ours.has(original)) continue;
        const run = (args, self, proceed) => {
          const done = quietly(() => before(args, self, name));
          if (done) return done[0];
          const result = proceed();
          if (after) quietly(() => after(result));
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
    const refuse = (answer) => ([url]) => judge(url) && [answer()];
    const redirect = (url) => (args) => { if (judge(args[0])) args[0] = url; };
    const adopt = () => {
      for (let at = 0; at < window.length; at++) enter(window[at]);
    };

    wrap("", "fetch", refuse(async () => new Response(null, { status: 204 })), (answer) =>
      answer.then((response) => heed(response.url, () => response.clone().json())).catch(pass));
    wrap("XMLHttpRequest", "open", (args, request) => {
      if (judge(args[1])) args.splice(0, 2, "GET", "data:,");
      request.addEventListener("load", () => heed(request.responseURL, () => JSON.parse(request.responseText)));
    });
    wrap("Navigator", "sendBeacon", refuse(() => true));
    wrap("Worklet", "addModule", refuse(async () => {}));
    wrap("", "fetchLater", refuse(() => ({})));
    wrap("", "open", refuse(() => null), enter);
    // Both fail without a request.
    wrap("", "WebSocket WebTransport", redirect("https://localhost:1"));
    wrap("", "EventSource Audio", redirect("data:,"));
    window.navigation?.addEventListener("navigate", (event) => {
      if (!event.userInitiated && event.cancelable && judge(event.destination)) event.preventDefault();
    });

    const elements = Object.getOwnPropertyNames(window).filter((name) => /^HTML.*Element$/.test(name)).join(" ");
    const properties = "src srcset srcdoc href data poster ping action formAction imageSrcset";
    wrap(elements, properties.replace(/\w+/g, "$&:set"), (args, element, name) => assign(element, name.toLowerCase(), args));
    wrap(elements, properties.replace(/\w+/g, "$&:get"), (_, element, name) => {
      const value = element.getAttribute(PARKED + "-" + name.toLowerCase());
      return value && [/set|ping/.test(name) ? value : resolve(value).href];
    });
    wrap("Element", "setAttribute setAttributeNS", (args, element) => assign(element, String(args[args.length - 2]).toLowerCase(), args));
    wrap("Element", "setAttributeNode", ([{ name, value }], element) => assign(element, name, [value]));
    wrap("Attr", "value:set", (args, { ownerElement, name }) => assign(ownerElement, name, args));

    const clean = (args) => args.forEach((text, at) => {
      if (typeof text === "string") args[at] = siftStyle(text);
    });
    const cleanIn = (args, element) => { if (element.localName === "style") clean(args); };
    wrap("CSSStyleSheet CSSGroupingRule CSSStyleDeclaration", "insertRule replace replaceSync setProperty cssText:set", clean);
    wrap("", "FontFace", clean);
    wrap("Node", "textContent:set", cleanIn);
    // Single properties have no setter; this comes before painting.
    new MutationObserver((records) => records.forEach(({ target }) => check(target)))
      .observe(window.document, { subtree: true, attributeFilter: ["style"] });

    wrap("Node Element Document DocumentFragment CharacterData Range", "appendChild insertBefore replaceChild append prepend after before " +
      "replaceWith replaceChildren moveBefore insertAdjacentElement insertNode", (args, parent) => {
      cleanIn(args, parent);
      for (const node of args) {
        if (node.nodeType === 3 && parent.localName === "style") node.data = siftStyle(node.data);
        if (node.nodeType === 1) check(node);
        // What was made in this document is judged already.
        if (node.firstElementChild && node.ownerDocument !== (parent.ownerDocument || parent)) checkBelow(node);
      }
    }, adopt);
    wrap("Element ShadowRoot Range TrustedTypePolicy", "innerHTML:set outerHTML:set insertAdjacentHTML setHTMLUnsafe " +
      "createContextualFragment createHTML", (args, element) => {
      const at = args.length - 1;
      if (element.localName === "style") clean(args);
      else args[at] = siftMarkup(args[at]);
    }, adopt);
    wrap("Document", "importNode adoptNode", pass, checkBelow);
    wrap("Document", "write writeln", (args, page) => {
      const text = unfinished + args.join("");
      unfinished = /(<[a-z][^>]*|<\/?)?$/i.exec(text)[0];
      args.splice(0, args.length, siftMarkup(text.slice(0, text.length - unfinished.length)));
      const script = page.currentScript;
      // Nothing is parsed any more where a restored script writes.
      return ours.has(script) && [script.before(page.createRange().createContextualFragment(args[0]))];
    }, adopt);
    wrap("HTMLIFrameElement", "contentWindow:get contentDocument:get", pass, (inner) => enter(inner.defaultView || inner));

    wrap("Document", "cookie:set", ([text]) => {
      const [, name] = /^[\s=]*"?([^=;"]*?)"?\s*(=|;|$)/.exec(text);
      const [, ends, date] = /;\s*(?:max-age\s*=\s*(0|-)|expires\s*=([^;]*))/i.exec(text) || [];
      return !ends && !(Date.parse(date) < Date.now()) && cookieDenied(name) && [];
    });
    wrap("CookieStore", "set", ([cookie]) => cookieDenied(cookie.name || cookie) && [Promise.resolve()]);
    wrap("Storage", "setItem", ([key]) => keyDenied(String(key)) && []);
    wrap("", "localStorage:get sessionStorage:get", pass, () => Promise.resolve().then(sweep));
  };
  const enter = (window) => {
    const page = window.document;
    if (ours.has(page) || !/^about:blank/.test(page.URL)) return;
    ours.add(page);
    install(window);
  };

  // --- The choice ---

  // Also keys that were set as properties.
  const storages = quietly(() => [self.localStorage, self.sessionStorage]) || [];
  const sweep = () => storages.forEach((storage) => Object.keys(storage).forEach((key) => keyDenied(key) && storage.removeItem(key)));
  const within = (root) => [...(root?.querySelectorAll?.("*") || [])].flatMap((element) =>
    [element, ...within(element.shadowRoot || element.contentDocument || element.content)]);
  const heal = (owner, name) => {
    const text = owner[name];
    const healed = text.replace(/about:invalid#([^"')\s]+)/g, (all, url) => (judge(url) ? all : url));
    if (text !== healed) owner[name] = healed;
  };
  const unpark = (element) => {
    retype(element);
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith(PARKED)) continue;
      const real = name.slice(PARKED.length + 1);
      element.removeAttribute(name);
      // No data may become code.
      if (attributes[element.localName]?.includes(real) && /^http/.test(resolve(value).protocol)) element.setAttribute(real, value);
    }
  };
  const run = (script) => new Promise((done) => {
    const { parentNode, nextSibling } = script;
    if (tag.nonce && script.nonce !== tag.nonce && !ours.has(script)) return done();
    ours.add(script);
    script.addEventListener("load", done);
    script.addEventListener("error", done);
    script.async = script.hasAttribute("async");
    const external = script.getAttribute(PARKED + "-src");
    if (!external) script.remove();
    unpark(script);
    if (!external) parentNode.insertBefore(script, nextSibling);
    if (!external || script.async) done();
  });
  const isLate = (script) => script.defer || /module/.test(script.getAttribute(PARKED + "-type"));
  const restore = async () => {
    const scripts = [];
    for (const element of within(document)) {
      const { localName, style } = element;
      heal(localName === "style" ? element : style || {}, localName === "style" ? "textContent" : "cssText");
      const names = element.getAttribute(PARKED);
      if (!names || maskOf(names) & ~granted) continue;
      if (localName === "script" && element.isConnected) scripts.push(element);
      else unpark(element);
    }
    for (const script of scripts.sort((a, b) => isLate(a) - isLate(b))) await run(script);
  };
  const change = (names) => {
    const before = granted;
    granted = (maskOf(names) & ~maskOf(capped)) | 1;
    if (granted === before) return;
    if (before & ~granted) {
      sweep();
      document.querySelectorAll("iframe,frame,object,embed").forEach(check);
      for (const pair of document.cookie.split("; ")) {
        const [name] = pair.split("=");
        if (!cookieDenied(name)) continue;
        const domains = location.hostname.split(".").map((_, at, all) => ";domain=" + all.slice(at).join("."));
        for (const domain of ["", ...domains]) for (const path of ["", ";path=/"]) document.cookie = name + "=;max-age=0" + domain + path;
      }
    }
    for (const name of stubs) if (self[name] === pass) delete self[name];
    restore();
    document.dispatchEvent(new CustomEvent("consentry:change", { detail: { purposes: namesOf(granted).split(" ") } }));
  };
  const heed = async (url, read) => {
    if (/^(consent|withdraw)$/.test(url.split(location.origin + rules.prefix + "/")[1])) change((await read()).purposes.join(" "));
  };

  install(self);
  const stubs = rules.globals.flatMap((names, at) => (1 << at) & ~granted ? names.split(" ") : []).filter((name) => name && !(name in self));
  for (const name of stubs) self[name] = pass;
  const chosen = () => (document.cookie.split("; ").find((pair) => pair.startsWith(rules.cookie + "=")) || "~").split("~")[1];
  let last = chosen();
  const look = () => {
    if (chosen() !== last) change(chosen().replace(/\./g, " "));
    last = chosen();
  };
  document.addEventListener("visibilitychange", look);
  self.addEventListener("pageshow", look);
  self.cookieStore?.addEventListener("change", look);
  document.addEventListener("load", ({ target }) => quietly(() => {
    if (target.contentWindow.location.pathname === rules.prefix + "/held") target.contentDocument.addEventListener("submit", (event) => {
      event.preventDefault();
      const purposes = new FormData(event.target).getAll("purposes");
      self.fetch(rules.prefix + "/consent", { method: "POST", body: JSON.stringify({ purposes }) });
    });
  }), true);
  sweep();
})(self, self.__consentry);
