// GPP strings and what the IAB's library reads from them, one JSON line each: node gpp.mjs SEED COUNT MUTATED
//
// All are written by the library, and the header of every other one is spelled again without the filling to whole bytes, as
// the specification does it. Behind them come MUTATED more with one character changed.

import { FibonacciIntegerRangeEncoder, GppModel, Sections } from '@iabgpp/cmpapi';
import { Source, attempt, mutated, print, ranges, spell } from './bits.mjs';

const [seed, count, changed] = process.argv.slice(2).map(Number);
const source = new Source(seed);

const TCF_EU = 2;
const US_PRIVACY = 6;
const NAMES = Sections.SECTION_ID_NAME_MAP;
const KNOWN = [...NAMES.keys()].sort((a, b) => a - b);

/** Sets a field, or leaves it as it is where the library does not take the value. */
function set(model, id, field, value) {
  attempt(() => model.setFieldValueBySectionId(id, field, value));
}

function writeTcf(model) {
  const flags = (width) => Array.from({ length: width }, () => source.chance(0.5));
  set(model, TCF_EU, 'CmpId', source.int(2, 4095));
  set(model, TCF_EU, 'PublisherCountryCode', 'DE');
  set(model, TCF_EU, 'PurposeConsents', flags(24));
  set(model, TCF_EU, 'PurposeLegitimateInterests', flags(24));
  set(model, TCF_EU, 'PurposeOneTreatment', source.chance(0.5));
  // The library forgets that a set without vendors has a highest id, so that none of these is empty.
  const vendors = () => [1, ...source.subset(source.pick([5, 50, 300]), source.pick([0.05, 0.5])).filter((id) => id > 1)];
  set(model, TCF_EU, 'VendorConsents', vendors());
  set(model, TCF_EU, 'VendorLegitimateInterests', vendors());
  set(model, TCF_EU, 'VendorsDisclosed', vendors());
}

function writeUsPrivacy(model) {
  for (const field of ['Notice', 'OptOutSale', 'LspaCovered']) set(model, US_PRIVACY, field, source.pick(['Y', 'N', '-']));
}

function writeUs(model, id) {
  set(model, id, 'SaleOptOut', 0);
  if (NAMES.get(id) === 'usnat') set(model, id, 'Version', source.int(1, 2));
  for (const [field, value] of Object.entries(model.getSection(NAMES.get(id)))) {
    if (/Version|GpcSegment/.test(field)) continue;
    if (typeof value === 'boolean') set(model, id, field, source.chance(0.5));
    else if (Array.isArray(value)) set(model, id, field, value.map(() => source.int(0, 2)));
    else set(model, id, field, source.int(0, 2));
  }
  set(model, id, 'GpcSegmentIncluded', source.chance(0.6));
}

function written() {
  const model = new GppModel();
  const share = source.pick([0.05, 0.15, 0.4]);
  const ids = KNOWN.filter(() => source.chance(share));
  if (ids.length === 0 && source.chance(0.9)) ids.push(source.pick(KNOWN));
  for (const id of ids) {
    if (id === TCF_EU) writeTcf(model);
    else if (id === US_PRIVACY) writeUsPrivacy(model);
    else if (id > US_PRIVACY) writeUs(model, id);
    else set(model, id, 'CmpId', source.int(2, 4095));
  }
  const text = model.encode();
  if (source.chance(0.5)) return text;
  const [, ...sections] = text.split('~');
  return [spell('000011000001' + FibonacciIntegerRangeEncoder.encode(ids)), ...sections].join('~');
}

function readUs(model, id) {
  const get = (field) => model.getFieldValueBySectionId(id, field);
  const optional = (field) => (model.hasFieldBySectionId(id, field) ? get(field) : null);
  // In Maryland and the states after it, the library knows no version but that of an agreement.
  const version = id >= 24 ? 1 : get('Version');
  // Only a part of type 1 is about GPC; the library takes any.
  const gpc = attempt(() => (get('GpcSegmentIncluded') && get('GpcSegmentType') === 1 ? get('Gpc') : null));
  // All fields are read, so that a section which ends early throws.
  return {
    version,
    choices: [get('SaleOptOut'), optional('SharingOptOut'), optional('TargetedAdvertisingOptOut')],
    gpc: gpc?.error?.startsWith('Invalid field') ? null : gpc,
  };
}

function readTcf(model) {
  const get = (field) => model.getFieldValueBySectionId(TCF_EU, field);
  const numbers = (flags) => ranges(flags.flatMap((flag, index) => (flag ? [index + 1] : [])));
  return {
    purposes_consent: numbers(get('PurposeConsents')),
    purposes_li: numbers(get('PurposeLegitimateInterests')),
    purpose_one_treatment: get('PurposeOneTreatment'),
    vendor_consents: ranges(get('VendorConsents')),
    vendor_li: ranges(get('VendorLegitimateInterests')),
    disclosed_vendors: ranges(get('VendorsDisclosed')),
  };
}

function read(text) {
  const model = new GppModel(text);
  const ids = model.getSectionIds().sort((a, b) => a - b);
  const us = ids.filter((id) => id > US_PRIVACY).map((id) => [id, attempt(() => readUs(model, id))]);
  const privacy = ['Version', 'Notice', 'OptOutSale', 'LspaCovered'];
  return {
    ids,
    us,
    us_privacy: ids.includes(US_PRIVACY)
      ? attempt(() => privacy.map((field) => model.getFieldValueBySectionId(US_PRIVACY, field)).join(''))
      : null,
    tcf: ids.includes(TCF_EU) ? attempt(() => readTcf(model)) : null,
  };
}

function* lines() {
  for (let index = 0; index < count; index++) {
    const text = written();
    yield { text, read: read(text) };
  }
  for (let index = 0; index < changed; index++) {
    const text = mutated(source, written(), '.~=%');
    yield { text, read: attempt(() => read(text)), mutated: true };
  }
}

print(lines());
