// Banners whose choice no server sees, reduced to the interface that they document for other scripts. Each keeps the
// choice in `localStorage`, and has a `choose(preferences, analytics, marketing)` in the place of its buttons.

//= usercentrics-3
const saved = () => JSON.parse(localStorage.getItem("ucData") || "null");
const state = (given) => ({ state: given ? "ALL_ACCEPTED" : "ALL_DENIED", dps: null });
self.__ucCmp = {
  async getConsentDetails() {
    // Before a choice this one shows what its operator set up, and that was careless.
    const [preferences, analytics, marketing] = saved() || [true, true, true];
    const type = saved() ? "EXPLICIT" : "IMPLICIT";
    const service = (name, given) => ({ name, essential: false, consent: { given, type } });
    return {
      consent: { required: !saved(), type },
      categories: {
        essential: state(true), functional: state(preferences && analytics), marketing: state(marketing),
      },
      services: { a: service("Counter", analytics), m: service("Advertiser", marketing) },
    };
  },
};
self.choose = (...choice) => {
  dispatchEvent(new CustomEvent("UC_UI_CMP_EVENT", { detail: { source: "button", type: "SAVE" } }));
  setTimeout(async () => {
    localStorage.setItem("ucData", JSON.stringify(choice));
    dispatchEvent(new CustomEvent("UC_CONSENT", { detail: await __ucCmp.getConsentDetails() }));
  }, 20);
};
dispatchEvent(new CustomEvent("UC_UI_INITIALIZED"));

//= usercentrics-2
const saved = () => JSON.parse(localStorage.getItem("uc_settings") || "null");
self.UC_UI = {
  isInitialized: () => true,
  getServicesBaseInfo() {
    const [preferences, analytics, marketing] = saved() || [true, true, true];
    const service = (categorySlug, status) =>
      ({ id: categorySlug, categorySlug, consent: { status, history: [{ status, type: saved() ? "explicit" : "implicit" }] } });
    return [
      service("essential", true), service("functional", preferences), service("statistics", analytics),
      service("marketing", true), service("marketing", marketing),
    ];
  },
};
self.choose = (...choice) => {
  localStorage.setItem("uc_settings", JSON.stringify(choice));
  dispatchEvent(new CustomEvent("UC_UI_CMP_EVENT", { detail: { source: "button", type: "SAVE" } }));
};
dispatchEvent(new CustomEvent("UC_UI_INITIALIZED"));

//= osano
const listeners = [];
self.Osano = { cm: { addEventListener: (name, listener) => listeners.push([name, listener]) } };
self.choose = (...choice) => {
  const [PERSONALIZATION, ANALYTICS, MARKETING] = choice.map((given) => given ? "ACCEPT" : "DENY");
  const consent = { ESSENTIAL: "ACCEPT", STORAGE: "ACCEPT", PERSONALIZATION, ANALYTICS, MARKETING, OPT_OUT: "DENY" };
  for (const [name, listener] of listeners) if (name === "osano-cm-consent-saved") listener(consent);
};

//= termly
const listeners = [];
self.Termly = { on: (name, listener) => listeners.push([name, listener]) };
self.choose = (performance, analytics, advertising) => {
  const consentState =
    { essential: true, unclassified: false, performance, analytics, advertising, social_networking: advertising };
  for (const [name, listener] of listeners) if (name === "consent") listener({ consentState });
};

//= tcf
const saved = () => JSON.parse(localStorage.getItem("tcf") || "null");
const listeners = [];
const data = (eventStatus) => {
  const [preferences, analytics, marketing] = saved() || [];
  const given = [[1], preferences ? [5, 6, 10, 11] : [], analytics ? [8, 9] : [], marketing ? [2, 3, 4, 7] : [5]].flat();
  const consents = Object.fromEntries(given.map((purpose) => [purpose, true]));
  return { gdprApplies: true, eventStatus, purposeOneTreatment: false, purpose: { consents: saved() ? consents : {} } };
};
// What came before this one loaded has been queued.
const queue = self.__tcfapi?.() || [];
self.__tcfapi = (command, version, callback) => {
  if (command !== "addEventListener") return;
  listeners.push(callback);
  callback(data(saved() ? "tcloaded" : "cmpuishown"), true);
};
for (const call of queue) self.__tcfapi(...call);
self.choose = (...choice) => {
  localStorage.setItem("tcf", JSON.stringify(choice));
  for (const listener of listeners) listener(data("useractioncomplete"), true);
};

//= gpp
const listeners = [];
const saved = () => Number(localStorage.getItem("gpp") || 2);
const event = (eventName) => ({
  eventName,
  listenerId: 1,
  pingData: {
    signalStatus: eventName === "sectionChange" ? "not ready" : "ready",
    applicableSections: [7],
    parsedSections: { usnat: { Version: 1, SaleOptOut: saved(), SharingOptOut: 2, TargetedAdvertisingOptOut: 0, Gpc: false } },
  },
});
self.__gpp = (command, callback) => {
  listeners.push(callback);
  callback(event("listenerRegistered"), true);
};
self.optOut = (isOut) => {
  localStorage.setItem("gpp", isOut ? 1 : 2);
  for (const name of ["sectionChange", "signalStatus"]) for (const listener of listeners) listener(event(name), true);
};
