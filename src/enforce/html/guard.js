// Parks what a page makes at run time until it is granted; what cannot be judged passes. A mask has a bit per purpose.
((rules) => {
  "use strict";
  delete self.__consentry;
  const { apply, construct } = Reflect;
  const tag = document.currentScript;
  // Once for a document.
  if (!rules || document.querySelector("script[data-granted]") !== tag) return;
  const pass = () => {};
  const quietly = (work) => {
    try {
      return work();
    } catch {}
  };

  // What refused vendors have is for the last bit, which is never granted.
  for (const name of `${tag.dataset.refused}`.split(" "))
    for (const kind in rules.vendors[name]) rules[kind][1][31] += " " + rules.vendors[name][kind];
  const maskOf = (names) =>
    rules.purposes.reduce((mask, name, at) => mask | (names.split(" ").includes(name) << at), 0);
  const namesOf = (mask) => rules.purposes.filter((_, at) => (mask >> at) & 1).join(" ");
  let granted = maskOf(tag.dataset.granted) | 1;

  const fits = (pattern, text) =>
    RegExp("^" + pattern.replace(/[^*\w]/g, "\\$&").replace(/\*/g, "[^]*") + "$", "i").test(text);
  const find = (kind, weigh) => {
    for (const tier of rules[kind]) {
      const weights = tier.map((entries) => Math.max(...entries.split(" ").map(weigh)));
      const most = Math.max(...weights);
      if (most > 0) return 1 << weights.lastIndexOf(most);
    }
  };
  const findName = (kind, name) => find(kind, (pattern) => {
    const [head, ...rest] = pattern.split("*");
    return name.toLowerCase().startsWith(head.toLowerCase()) && fits(pattern, name) &&
      999 + pattern.length - 9 * rest.length;
  });
  const memory = { __proto__: null };
  const denied = (key, work) => (memory[key] = memory[key] ?? work() ?? 0) & ~granted;
  const cookieDenied = (name) => name !== rules.cookie &&
    denied("cookie " + name, () => findName("cookies", name) || rules.unknown);
  const keyDenied = (key) => denied("key " + key, () =>
    findName("storage", key) || (/_/.test(key) && findName("cookies", key)));

  const resolve = (url) => new URL(url, document.baseURI);
  const ownHosts = `${rules.own} ${resolve(tag.src).hostname}`.split(" ");
  const judge = (url) => quietly(() => {
    if (/^(data|blob):/.test(url)) return;
    const { protocol, hostname, pathname } = resolve(url.url || url);
    const host = hostname.replace(/\.$/, "");
    const tail = host.split(".").slice(-2).join(".");
    const path = unescape(pathname).replace(/[/\\]+/g, "/");
    return /^(http|ws)/.test(protocol) && denied(host + path, () =>
      !ownHosts.some((own) => fits(own, host)) && find("hosts", (entry) => {
        if (!entry.includes(tail)) return 0;
        const [, exact, name, rest] = entry.match(/(=?)([^/]*)(.*)/);
        const isWithin = exact ? host === name : ("." + host).endsWith("." + name);
        return isWithin && (!rest || fits(rest, path)) && name.length * 999 + rest.length;
      }));
  });

  const table = "src=script,img,iframe,frame,embed,source,track,audio,video,input srcset=img,source imageSrcset=link " +
    "href=script,link,image,use,feImage xlink:href=script,image,use,feImage action=form formAction=input,button " +
    "ping=a,area data=object poster=video background=body,table,td,th http-equiv=meta srcdoc=iframe";
  const attributes = { __proto__: null, style: [] };
  for (const row of table.split(" ")) {
    const [name, kinds] = row.split("=");
    for (const kind of kinds.split(",")) attributes[kind] = [...(attributes[kind] || []), name.toLowerCase()];
  }
  const PARKED = "data-consentry";
  const ours = new WeakSet();
  // Given a mere string by a script: under Trusted Types no more than that may be given back.
  const texts = new WeakSet();
  // The element of an attribute map or of an animated string; the shadow root of an element.
  const related = new WeakMap();

  let found;
  const keep = (urls) => urls.filter((url) => {
    const mask = judge(url.split(" ")[0]);
    found |= mask;
    return !mask;
  });
  const siftStyle = (text) =>
    text.replace(/(url\((?:\s|["']|&quot;)*|@import\s+["'])([^"')\s]+)/gi, (all, before, url) =>
      keep([url])[0] ? all : before + "about:invalid#" + url);
  const sift = (kind, name, value) => {
    found = 0;
    if (name === "srcdoc") return guarded(value);
    value = String(value);
    if (name === "text") keep(value.split('"'));
    if (name === "style") return siftStyle(value);
    if (!value || !attributes[kind]?.includes(name)) return;
    if (/set$/.test(name)) return keep(value.match(/[^\s,](\S*[^\s,])?(\s+[^,]+)?/g) || []).join(", ");
    keep(value.trim().split(" "));
    if (/action/.test(name)) return rules.prefix + "/blocked";
    if (found && /frame/.test(kind)) return `${rules.prefix}/held?u=${encodeURIComponent(resolve(value))}&l=${
      document.documentElement.lang}`;
  };
  const retype = (element) => {
    if (element.localName !== "script" || element.type !== "text/plain") return;
    element.type = element.getAttribute(PARKED + "-type") || "";
  };
  // Judges the last of `args`; gives [] if it is parked.
  const assign = (element, name, args) => {
    name = `${name}`.toLowerCase();
    const at = args.length - 1;
    const value = args[at];
    const kind = element?.localName;
    const rest = sift(kind, name, value);
    if (/^(style|srcdoc)$/.test(name)) args[at] = rest;
    else if (found) {
      element.setAttribute(PARKED, namesOf(found | maskOf(element.getAttribute(PARKED) || "")));
      if (rest) element.setAttribute(name, rest);
      else element.removeAttribute(name);
      element.setAttribute(PARKED + "-" + name, value);
      ours.add(element);
      if (value.match) texts.add(element);
      setTimeout(() => element.dispatchEvent(new Event("error")));
      if (kind === "script" && element.type !== "text/plain") {
        element.setAttribute(PARKED + "-type", element.type);
        element.type = "text/plain";
      }
      return [];
    } else if (element?.hasAttribute(PARKED + "-" + name)) {
      element.removeAttribute(PARKED + "-" + name);
      retype(element);
    }
  };
  const edit = (owner, name, work) => {
    const text = work(owner[name]);
    if (text !== owner[name]) owner[name] = text;
  };
  const isFree = (element) => element.hasAttribute(PARKED) && !(maskOf(element.getAttribute(PARKED)) & ~granted);
  const check = (element) => {
    if (isFree(element)) unpark(element);
    for (const name of [...(attributes[element.localName] || []), "style"]) {
      const value = element.getAttribute(name);
      const args = [value];
      if (value && !element.hasAttribute(PARKED + "-" + name)) assign(element, name, args);
      if (args[0] !== value) element.setAttribute(name, args[0]);
    }
    if (element.localName === "style") edit(element, "textContent", siftStyle);
    if (element.type === "speculationrules") assign(element, "text", [element.text]);
  };
  const checkBelow = (root) => root.querySelectorAll(Object.keys(attributes) + ",[style]").forEach(check);

  const siftMarkup = (text) => typeof text !== "string" ? text : text
    .replace(/(?<=<style[^>]*>)[^]*?(?=<\/style|$)/gi, siftStyle)
    .replace(/<([a-z]\w*)((=\s*"[^"]*"|=\s*'[^']*'|[^>])*)/gi, (_, kind, list) => {
      let parked = 0;
      list = list.replace(/([^\s"'=/]+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/g, (all, name, quoted) => {
        if (/^style$/i.test(name)) return siftStyle(all);
        const value = quoted.replace(/["']/g, "").replace(/&#(x?)(\w+);?/gi, (_, hex, code) =>
          String.fromCodePoint(hex ? "0x" + code : code));
        const rest = sift(kind.toLowerCase(), name.toLowerCase(), value);
        parked |= found;
        return found ? `${PARKED}-${name}=${quoted}` + (rest ? ` ${name}="${rest}"` : "") : all;
      });
      if (parked && /^script$/i.test(kind)) list = ' type="text/plain"' + list.replace(/\stype=/i, ` ${PARKED}-type=`);
      return `<${kind}${parked ? ` ${PARKED}="${namesOf(parked)}"` : ""}${list}`;
    });
  // Made before any other script could take the name.
  const kinds = { createHTML: String, createScriptURL: String };
  const policy = quietly(() => trustedTypes.createPolicy("consentry", kinds)) || kinds;
  const guarded = (text) => String(text).includes(tag.getAttribute("src")) ? text : policy.createHTML(
    siftMarkup(`${text}`).replace(/^(\s*<!doctype[^>]*>)?/i, (start) => start +
      (tag.previousElementSibling.outerHTML + tag.outerHTML).replace(/nonce=""/g, `nonce="${tag.nonce}"`)));

  const install = (window) => {
    // `before` may change `args` or give [result].
    const wrap = (owners, names, before, after) => {
      for (const owner of owners.split(" ")) for (const entry of names.split(" ")) {
        const [name, part = "value"] = entry.split(":");
        const object = window[owner]?.prototype || window;
        const property = Object.getOwnPropertyDescriptor(object, name);
        const original = property?.[part];
        if (!original || ours.has(original)) continue;
        const run = (args, self, proceed) => {
          const done = quietly(() => before(args, self, name));
          if (done) return done[0];
          const result = proceed();
          if (after) quietly(() => after(result, self));
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
    const blocked = new URL(rules.prefix + "/blocked", tag.src).href;

    wrap("window", "fetch", refuse(async () => new Response(null, { status: 204 })), (answer) =>
      answer.then((response) => heed(response.url, () => response.clone().json())).catch(pass));
    wrap("XMLHttpRequest", "open", (args, request) => {
      if (judge(args[1])) args.splice(0, 2, "GET", blocked);
      request.addEventListener("load", () =>
        heed(request.responseURL, () => JSON.parse(request.responseText)).catch(pass));
    });
    wrap("Navigator", "sendBeacon", refuse(() => true));
    wrap("window", "open fetchLater", refuse(() => null), enter);
    // To port 1 no browser connects.
    wrap("window", "WebSocket", redirect("wss:0:1"));
    wrap("window", "EventSource WebTransport Audio", redirect(blocked));
    wrap("Worklet", "addModule", refuse(async () => {}));
    window.navigation?.addEventListener("navigate", (event) => {
      if (!event.userInitiated && judge(event.destination)) event.preventDefault();
    });

    const elements = Object.getOwnPropertyNames(window).filter((name) => /^HTML/.test(name)).join(" ");
    wrap(elements, table.replace(/=\S+/g, ":set"), (args, element, name) => assign(element, name, args));
    wrap(elements, table.replace(/=\S+/g, ":get"), (_, element, name) => {
      const value = element.getAttribute(PARKED + "-" + name.toLowerCase());
      return value && [/set/.test(name) ? value : resolve(value).href];
    });
    wrap("Element", "setAttribute setAttributeNS", (args, element) =>
      assign(element, args[args.length - 2], args));
    wrap("Element NamedNodeMap", "setAttributeNode setAttributeNodeNS setNamedItem setNamedItemNS",
      ([{ name, value }], target) => assign(related.get(target) || target, name, [value]));
    wrap("Attr Node SVGAnimatedString", "value:set nodeValue:set baseVal:set", (args, target) =>
      assign(target.ownerElement || related.get(target), target.name || "href", args));
    wrap("Element SVGImageElement SVGScriptElement SVGFEImageElement", "attributes:get href:get", pass,
      (object, owner) => related.set(object, owner));
    wrap("Element", "attachShadow", pass, (object, owner) => related.set(owner, object));

    const clean = (args) => args.forEach((text, at) => {
      if (typeof text === "string") args[at] = siftStyle(text);
    });
    wrap("CSSStyleSheet CSSStyleDeclaration window",
      "insertRule replace replaceSync setProperty cssText:set FontFace", clean);
    new MutationObserver((records) => records.forEach(({ target }) => check(target)))
      .observe(window.document, { subtree: true, attributeFilter: ["style"] });

    wrap("Node Element Document DocumentFragment CharacterData Range ShadowRoot TrustedTypePolicy",
      "appendChild insertBefore replaceChild append prepend after before replaceWith replaceChildren " +
      "insertAdjacentElement insertNode importNode adoptNode textContent:set innerHTML:set outerHTML:set " +
      "insertAdjacentHTML setHTMLUnsafe createContextualFragment createHTML", (args, target, name) => {
      const isStyle = target.localName === "style";
      if (isStyle) clean(args);
      args.forEach((item, at) => {
        if (/HTML|Fragment/.test(name)) args[at] = siftMarkup(item);
        if (/srcdoc/i.test(item)) Promise.resolve().then(() => checkBelow(window.document));
        if (isStyle && item?.data) edit(item, "data", siftStyle);
        if (item?.localName) check(item);
        if (item?.firstElementChild && item.ownerDocument !== (target.ownerDocument || target)) checkBelow(item);
      });
    }, (result) => result?.contentWindow && enter(result.contentWindow));
    let unfinished = "";
    wrap("Document", "write writeln", (args, page) => {
      const [, text, rest = ""] = /^([^]*?)(<[a-z][^>]*|<\/?)?$/i.exec(unfinished + args.join(""));
      unfinished = rest;
      if (siftMarkup(text) !== args.join("")) args.splice(0, args.length, siftMarkup(text));
      const script = page.currentScript;
      return ours.has(script) && [script.before(page.createRange().createContextualFragment(args[0]))];
    });

    window.document.addEventListener("load", ({ target }) => quietly(() => {
      enter(target.contentWindow);
      if (!target.getAttribute("src").startsWith(rules.prefix + "/held")) return;
      target.contentDocument.addEventListener("submit", (event) => {
        event.preventDefault();
        const purposes = new FormData(event.target).getAll("purposes");
        fetch(rules.prefix + "/consent", { method: "POST", body: JSON.stringify({ purposes }) });
      });
    }), true);
    wrap("Document", "cookie:set", ([text]) => {
      const [, name] = /^[\s=]*"?([^=;"]*?)"?\s*(=|;|$)/.exec(text);
      const [, ends, date] = /;\s*(?:max-age\s*=\s*(0|-)|expires\s*=([^;]*))/i.exec(text) || [];
      return !ends && !(Date.parse(date) < Date.now()) && cookieDenied(name) && [];
    });
    wrap("CookieStore", "set", ([cookie]) => cookieDenied(cookie.name || cookie) && [Promise.resolve()]);
    wrap("Storage", "setItem", ([key]) => keyDenied(key) && []);
    wrap("window", "localStorage:get sessionStorage:get", pass, () => Promise.resolve().then(sweep));
  };
  const enter = (window) => quietly(() => {
    const page = window.document;
    if (ours.has(page) || page.URL !== "about:blank") return;
    ours.add(page);
    install(window);
  });

  const storages = quietly(() => [localStorage, sessionStorage]) || [];
  const sweep = () => {
    for (const storage of storages) for (const key of Object.keys(storage)) if (keyDenied(key)) storage.removeItem(key);
  };
  const within = (root) => [...(root?.querySelectorAll?.("*") || [])].flatMap((element) =>
    [element, ...within(related.get(element) || element.shadowRoot || element.contentDocument || element.content)]);
  const heal = (text) => text.replace(/about:invalid#([^"')\s]+)/g, (all, url) => (judge(url) ? all : url));
  const unpark = (element) => {
    retype(element);
    for (const { name, value } of [...element.attributes]) {
      if (!name.startsWith(PARKED)) continue;
      const real = name.slice(PARKED.length + 1);
      element.removeAttribute(name);
      // No data may become code.
      if (!attributes[element.localName]?.includes(real) || !/^http/.test(resolve(value).protocol)) continue;
      element.setAttributeNS(/:/.test(real) ? "http://www.w3.org/1999/xlink" : null, real,
        texts.has(element) ? value : policy.createScriptURL(value));
      // These look at once only.
      if (real === "imagesrcset") element.replaceWith(element);
      if (element.parentNode?.networkState > 2) element.parentNode.load();
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
  const restore = async () => {
    const scripts = [];
    const late = [];
    within(document).forEach((element) => quietly(() => {
      const { localName, style } = element;
      if (localName === "style") edit(element, "textContent", heal);
      else if (style) edit(style, "cssText", heal);
      if (!isFree(element)) return;
      if (localName !== "script" || !element.isConnected) unpark(element);
      else if (element.defer || /module/.test(element.getAttribute(PARKED + "-type"))) late.push(element);
      else scripts.push(element);
    }));
    for (const script of scripts.concat(late)) await run(script).catch(pass);
  };
  const change = (names) => {
    const before = granted;
    granted = (maskOf(names) & ~maskOf(tag.dataset.capped)) | 1;
    if (granted === before) return;
    tag.dataset.granted = namesOf(granted);
    if (granted & ~before && "reload" in tag.dataset) return location.reload();
    if (before & ~granted) {
      sweep();
      document.querySelectorAll("iframe,frame,object,embed").forEach(check);
      for (const [name] of document.cookie.matchAll(/[^\s;=]+(?==)/g)) if (cookieDenied(name)) {
        for (const { input, index } of location.hostname.matchAll(/(?<=^|\.)|$/g))
          document.cookie = `${name}=;max-age=0;path=/;domain=${input.slice(index)}`;
      }
    }
    stub();
    restore();
    document.dispatchEvent(new CustomEvent("consentry:change", { detail: { purposes: namesOf(granted).split(" ") } }));
  };
  const heed = async (url, read) => {
    const [, name] = url.split(location.origin + rules.prefix + "/");
    if (/^(consent|withdraw)$/.test(name)) change((await read()).purposes.join(" "));
  };

  install(self);
  const stub = () => rules.globals[1].forEach((names, at) => names.split(" ").forEach((name) => {
    if ((1 << at) & ~granted) self[name] ??= pass;
    else if (self[name] === pass) delete self[name];
  }));
  stub();
  const chosen = () => quietly(() => RegExp(rules.cookie + "=[^~]*~([^~]*)").exec(document.cookie)[1]) || "";
  let last = chosen();
  const look = () => {
    if (last !== (last = chosen())) change(last.replace(/\./g, " "));
  };
  addEventListener("visibilitychange", look);
  addEventListener("pageshow", look);
  self.cookieStore?.addEventListener("change", look);
  sweep();
})(self.__consentry);
