// Plays a chat: a button in the corner of the page, with a picture from the chat's own host.
(function () {
  "use strict";
  const make = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const chat = make("details", "");
  const summary = make("summary", "Ask us");
  const picture = make("img", "");
  chat.id = "lantern-help";
  picture.src = "http://chat.lantern-help.localhost:{{port}}/here.gif";
  picture.alt = "";
  summary.prepend(picture);
  chat.append(summary, make("p", "Nobody is here: this is a demonstration. But the chat has loaded."));
  const style = make("style", `
    #lantern-help { position: fixed; right: 1rem; bottom: 1rem; z-index: 1; max-width: 16rem; border-radius: 1.2rem; background: #205b2b; color: #fff; box-shadow: 0 .2rem .8rem #0006; }
    #lantern-help[hidden] { display: none; }
    #lantern-help summary { padding: .5rem 1.1rem; cursor: pointer; list-style: none; font-weight: 600; }
    #lantern-help p { margin: 0; padding: 0 1.1rem .8rem; }
    #lantern-help img { width: .6rem; height: .6rem; margin-right: .5rem; border-radius: 50%; background: #8fe29d; vertical-align: baseline; }
  `);
  document.body.append(style, chat);
})();
