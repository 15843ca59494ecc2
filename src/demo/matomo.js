// Plays Matomo's script, with the cookies that it sets.
"use strict";
document.cookie = "_pk_id.1.demo=a1b2c3d4e5f60718." + Math.floor(Date.now() / 1000) + "; Path=/; Max-Age=33955200; SameSite=Lax";
document.cookie = "_pk_ses.1.demo=1; Path=/; Max-Age=1800; SameSite=Lax";
window.lanternMatomo = true;
