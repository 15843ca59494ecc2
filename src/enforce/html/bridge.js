// Hands on what visitors choose in a banner that keeps the choice where only the page can see it. It is sent as it stands
// here but for these lines, and may be 1 KiB: so the names are short.
(()=>{
// What is granted, by banner: bits for preferences, analytics and marketing; of several banners, the most restrictive
// holds. -1 is nothing said, -5 an opt-out from marketing without a choice.
let s=[],
// The banners that were met.
m=[],
// Whether somebody has chosen just now; what is being sent; how long until it looks for banners again.
f,q,w=99,
// Sends what all have said, after what is being sent.
p=async e=>{
try{
await e;
// Usercentrics, in versions 3 and 2. Before a choice, it shows what the site has set up. What it calls functional may
// count and remember, and so may any category of the site's own.
e=await(self.__ucCmp?.getConsentDetails()||self.UC_UI?.getServicesBaseInfo());
if(/explicit/i.test(JSON.stringify(e))){
e=e.map?.(e=>[e.categorySlug,e.consent])||Object.entries(e.categories);
let a=t=>(t=e.filter(e=>t.test(e[0])))[0]?t.every(([,e])=>e.status||e.state=="ALL_ACCEPTED"):0;
s[0]=3*a(/^(?!ess|mark)/)+4*a(/^mark/)}
e=s.reduce((e,t)=>e&t,-1);
// What a banner says on every page is handed on once: elsewhere, something else may have been chosen since.
if(~e&&(f||localStorage.consentry!=e)){
f=0;
let t=["preferences","analytics","marketing"].slice(e<0&&2);
await fetch("{{prefix}}/consent",{method:"POST",keepalive:1,body:JSON.stringify({of:t,purposes:t.filter((t,n)=>e>0&&e>>n&1)})});
localStorage.consentry=e}}catch{}},
// Banners say it several times at once, and some before they know it.
h=(e,t,n)=>{
s[e]=t;
f=f||n;
setTimeout(()=>q=p(q),99)},
t=(e,t)=>e&&!m.includes(e)&&t(e,m.push(e)),
// Banners come late.
l=()=>{
setTimeout(l,w*=1.1);
t(self.__ucCmp||self.UC_UI,h);
// TCF. A stored choice is `tcloaded`, a new one `useractioncomplete`, and before it comes `cmpuishown`.
t(self.__tcfapi,e=>e("addEventListener",2,e=>{
let a=(...t)=>t.every(t=>e.purpose.consents[t]);
e.eventStatus>"t"&&e.gdprApplies!=0&&!e.purposeOneTreatment&&h(1,a(1,5,6,10,11)+2*a(1,8,9)+4*a(1,2,3,4,7),e.eventStatus>"u")}));
// GPP. What changes while the page is open has been chosen just now.
t(self.__gpp,e=>e("addEventListener",({pingData:e})=>{
let t=/OptOut.:1|Gpc.:(1|t)/.test(JSON.stringify(e.parsedSections))?-5:-1;
e.signalStatus=="ready"&&h(2,t,s[2]&&s[2]!=t)}));
t(self.Osano?.cm,e=>e.addEventListener("osano-cm-consent-saved",e=>{
let a=t=>e[t]=="ACCEPT";
h(3,a("PERSONALIZATION")+2*a("ANALYTICS")+4*a("MARKETING"),1)}));
t(self.Termly?.on&&Termly,e=>e.on("consent",({consentState:e})=>h(4,e.performance+2*e.analytics+4*(e.advertising&&e.social_networking),1)))};
["UI_INITIALIZED","UI_CMP_EVENT","CONSENT"].map(e=>addEventListener("UC_"+e,e=>h(9,-1,/ALL|SAVE/.test(e.detail?.type))));
l()})();
