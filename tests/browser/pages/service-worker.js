addEventListener("message", (event) => event.ports[0].postMessage("ready"));
