// TC strings and what @iabtcf/core reads from them, one JSON line each: node tcf.mjs SEED COUNT MUTATED
//
// Two of five are written by the library from a model; it chooses between bits and ranges. The others are spelled here bit
// by bit, since the library writes neither ranges in any order, nor other languages than that of its vendor list, nor
// segments in any order. Behind them come MUTATED more with one character changed.

import { GVL, PurposeRestriction, PurposeRestrictionVector, TCModel, TCString } from '@iabtcf/core';
import { DIGITS, Source, attempt, binary, mutated, print, ranges, spell } from './bits.mjs';

const [seed, count, changed] = process.argv.slice(2).map(Number);
const source = new Source(seed);
const PURPOSES = 11;

// The library keeps the vendors of a restriction in a tree that degenerates to a list: a changed character that makes a
// range as wide as it can be takes minutes. Such strings are left out.
const TOO_SLOW = 'a restriction of too many vendors for the library';
let added = 0;
const { add } = PurposeRestrictionVector.prototype;
PurposeRestrictionVector.prototype.add = function (vendor, restriction) {
  added += 1;
  if (added > 2000) throw new Error(TOO_SLOW);
  return add.call(this, vendor, restriction);
};

/** A vendor list of every kind of vendor: the library drops what a vendor has not declared. */
function vendorList(highest) {
  const numbered = (highest) =>
    Object.fromEntries(Array.from({ length: highest }, (_, index) => [index + 1, { id: index + 1, name: `n${index + 1}` }]));
  const vendors = numbered(highest);
  for (const vendor of Object.values(vendors)) {
    const purposes = source.subset(PURPOSES, 0.5);
    const legIntPurposes = source.subset(PURPOSES, 0.4).filter((purpose) => ![1, 3, 4, 5, 6, ...purposes].includes(purpose));
    const flexiblePurposes = [...purposes, ...legIntPurposes].filter(() => source.chance(0.6));
    Object.assign(vendor, { purposes, legIntPurposes, flexiblePurposes, specialPurposes: [], features: [], specialFeatures: [] });
  }
  return new GVL({
    gvlSpecificationVersion: 3,
    vendorListVersion: 1,
    tcfPolicyVersion: 5,
    lastUpdated: '2026-01-01T00:00:00Z',
    purposes: numbered(PURPOSES),
    specialPurposes: {},
    features: {},
    specialFeatures: numbered(2),
    stacks: {},
    vendors,
  });
}

/** Sets of vendors of every density: few and far between, nearly all, runs. */
function someVendors(limit) {
  const highest = source.pick([0, 3, Math.min(limit, 60), limit]);
  const kind = source.int(0, 3);
  if (kind < 3) return source.subset(highest, [0.02, 0.5, 0.95][kind]);
  const runs = [];
  for (let at = source.int(1, 20); at <= highest; at += source.int(1, 60)) {
    for (const end = at + source.int(0, 50); at <= Math.min(end, highest); at++) runs.push(at);
  }
  return runs;
}

const letters = () => String.fromCharCode(65 + source.int(0, 25), 65 + source.int(0, 25));

function written(gvl) {
  added = 0;
  const limit = Math.max(...gvl.vendorIds);
  gvl.vendorListVersion = source.int(0, 4095);
  gvl.tcfPolicyVersion = source.int(0, 63);
  const model = new TCModel(gvl);
  model.created = new Date(source.int(0, 20000) * 86400000);
  model.lastUpdated = new Date(source.int(0, 20000) * 86400000);
  // 0 and 1 cannot be set: both are reserved.
  model.cmpId = source.int(2, 4095);
  model.cmpVersion = source.int(0, 4095);
  model.consentScreen = source.int(0, 63);
  model.publisherCountryCode = letters();
  model.isServiceSpecific = source.chance(0.9);
  model.useNonStandardStacks = source.chance(0.3);
  model.purposeOneTreatment = source.chance(0.3);
  model.specialFeatureOptins.set(source.subset(12, 0.3));
  model.purposeConsents.set(source.subset(24, source.pick([0.1, 0.5, 1])));
  model.purposeLegitimateInterests.set(source.subset(24, 0.3));
  model.vendorConsents.set(someVendors(limit));
  model.vendorLegitimateInterests.set(someVendors(limit));
  for (let left = source.chance(0.4) ? source.int(1, 4) : 0; left > 0; left--) {
    const restriction = new PurposeRestriction(source.int(1, PURPOSES), source.int(0, 2));
    for (const vendor of someVendors(Math.min(limit, 150))) model.publisherRestrictions.add(vendor, restriction);
  }
  model.publisherConsents.set(source.subset(24, 0.4));
  model.publisherLegitimateInterests.set(source.subset(24, 0.3));
  model.numCustomPurposes = source.pick([0, 0, 1, 5, 63]);
  model.publisherCustomConsents.set(source.subset(model.numCustomPurposes, 0.5));
  model.publisherCustomLegitimateInterests.set(source.subset(model.numCustomPurposes, 0.5));
  const segments = ['core', ...['vendorsDisclosed', 'publisherTC'].filter(() => source.chance(0.8))];
  if (source.chance(0.3)) segments.splice(1, 2, ...segments.slice(1).reverse());
  return TCString.encode(model, { segments });
}

const bitsOf = (width, share) => Array.from({ length: width }, () => (source.chance(share) ? '1' : '0')).join('');
const number = (width) => binary(Math.floor(source.next() * 2 ** width), width);

/** Ranges in any order, overlapping. */
function spelledRanges(widest) {
  const entries = Array.from({ length: source.pick([0, 1, 2, 5, 20]) }, () => {
    const start = source.pick([source.int(1, 100), source.int(1, 2000), source.int(1, 65535)]);
    const end = Math.min(65535, start + source.pick([0, 0, 1, 7, source.chance(0.01) ? widest : 60]));
    return [start, end, end > start || source.chance(0.1)];
  });
  const highest = Math.max(0, ...entries.map(([, end]) => end));
  const text = entries.map(([start, end, range]) => (range ? 1 : 0) + binary(start, 16) + (range ? binary(end, 16) : ''));
  return [highest, binary(entries.length, 12) + text.join('')];
}

function spelledVendors() {
  if (source.chance(0.5)) {
    const highest = source.pick([0, 1, 16, 100, 700]);
    return binary(highest, 16) + '0' + bitsOf(highest, source.pick([0, 0.05, 0.5, 1]));
  }
  const [highest, entries] = spelledRanges(65535);
  return binary(Math.min(65535, highest + source.pick([0, 0, 5])), 16) + '1' + entries;
}

function spelled() {
  const letter = () => binary(source.int(0, 25), 6);
  let core = binary(2, 6) + number(36) + number(36) + binary(source.int(2, 4095), 12) + number(12) + number(6);
  core += letter() + letter() + number(12) + number(6) + number(1) + number(1) + number(12);
  core += bitsOf(24, source.pick([0, 0.5, 1])) + bitsOf(24, 0.3) + number(1) + letter() + letter();
  core += spelledVendors() + spelledVendors();
  const restrictions = source.chance(0.4) ? source.int(1, 5) : 0;
  core += binary(restrictions, 12);
  for (let left = restrictions; left > 0; left--) {
    // The library throws for purpose 0 and type 3, but only where there are vendors.
    core += binary(source.int(1, 63), 6) + binary(source.int(0, 2), 2) + spelledRanges(100)[1];
  }
  const customs = source.pick([0, 0, 2, 31, 32, 33, 63]);
  const segments = ['001' + spelledVendors(), '011' + number(24) + number(24) + binary(customs, 6) + bitsOf(customs * 2, 0.5)];
  if (source.chance(0.3)) segments.reverse();
  const unit = source.pick([6, 8, 24]);
  return [core, ...segments.filter(() => source.chance(0.7))].map((bits) => spell(bits, unit)).join('.');
}

/** The types of the segments behind the core: three bits of the first character. */
const types = (text) => text.split('.').slice(1).map((segment) => DIGITS.indexOf(segment[0]) >> 3);

function read(text) {
  added = 0;
  const model = TCString.decode(text);
  const set = (vector) => ranges(vector.values());
  const restrictions = model.publisherRestrictions
    .getRestrictions()
    .sort((a, b) => a.purposeId - b.purposeId || a.restrictionType - b.restrictionType)
    .map((found) => [found.purposeId, found.restrictionType, ranges(model.publisherRestrictions.getVendors(found))]);
  return {
    version: model.version,
    created: Math.floor(model.created.getTime() / 1000),
    last_updated: Math.floor(model.lastUpdated.getTime() / 1000),
    cmp_id: model.cmpId,
    cmp_version: model.cmpVersion,
    consent_screen: model.consentScreen,
    consent_language: model.consentLanguage,
    vendor_list_version: model.vendorListVersion,
    policy_version: model.policyVersion,
    is_service_specific: model.isServiceSpecific,
    use_non_standard_texts: model.useNonStandardStacks,
    purpose_one_treatment: model.purposeOneTreatment,
    publisher_country: model.publisherCountryCode,
    special_feature_opt_ins: set(model.specialFeatureOptins),
    purposes_consent: set(model.purposeConsents),
    purposes_li: set(model.purposeLegitimateInterests),
    vendor_consents: set(model.vendorConsents),
    vendor_li: set(model.vendorLegitimateInterests),
    restrictions,
    disclosed_vendors: set(model.vendorsDisclosed),
    publisher: [model.publisherConsents, model.publisherLegitimateInterests].map(set),
    custom: [model.publisherCustomConsents, model.publisherCustomLegitimateInterests].map(set),
    custom_count: model.numCustomPurposes,
  };
}

function* lines() {
  // It encodes a copy of the list with each string, so most are short.
  const lists = [10, 40, 40, 100, 100, 300].map(vendorList);
  for (let index = 0; index < count; index++) {
    const text = index % 5 < 2 ? written(index % 500 === 0 ? vendorList(1200) : source.pick(lists)) : spelled();
    yield { text, read: read(text), types: types(text) };
  }
  for (let index = 0; index < changed; ) {
    const text = mutated(source, source.chance(0.3) ? written(source.pick(lists)) : spelled(), '.=+%');
    const said = attempt(() => read(text));
    if (said.error === TOO_SLOW) continue;
    yield { text, read: said, types: types(text), mutated: true };
    index += 1;
  }
}

print(lines());
