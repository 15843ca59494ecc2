// The shop's own tracker. Consentry answers with an empty script until analytics is granted.
"use strict";
document.cookie = "_lantern_visits=" + Date.now() + "; Path=/; Max-Age=63072000; SameSite=Lax";
window.lanternAnalytics = true;
