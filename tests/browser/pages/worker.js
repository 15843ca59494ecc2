const wanted = new URL(location).searchParams;
if (wanted.has("import")) importScripts(wanted.get("import"));
if (wanted.has("fetch")) fetch(wanted.get("fetch"), { mode: "no-cors" }).catch(() => 0);
if (self.postMessage) postMessage("ready");
