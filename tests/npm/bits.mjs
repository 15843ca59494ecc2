// What the generators share: numbers that a seed decides, and bits as base64 text.

import { writeSync } from 'node:fs';

export const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Numbers that the seed decides: Marsaglia's xorshift with 32 bits. */
export class Source {
  constructor(seed) {
    this.state = (seed ^ 0x2545f491) >>> 0 || 1;
  }

  /** From 0 to below 1. */
  next() {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state >>> 0;
    return this.state / 4294967296;
  }

  /** From `low` to `high`, both included. */
  int(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share) {
    return this.next() < share;
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  /** Each number from 1 to `highest`, with this chance. */
  subset(highest, share) {
    return Array.from({ length: highest }, (_, index) => index + 1).filter(() => this.chance(share));
  }
}

/** `value` in `width` binary digits. */
export const binary = (value, width) => value.toString(2).padStart(width, '0');

/** Binary digits as base64 characters, filled up with zeros to a multiple of `unit` bits. */
export function spell(bits, unit = 6) {
  let padded = bits;
  while (padded.length % unit !== 0 || padded.length % 6 !== 0) padded += '0';
  return padded.replace(/.{6}/g, (six) => DIGITS[parseInt(six, 2)]);
}

/** The numbers of a list as ranges, both ends included. */
export function ranges(ids) {
  const found = [];
  for (const id of [...new Set(ids)].sort((a, b) => a - b)) {
    const last = found[found.length - 1];
    if (last && last[1] + 1 === id) last[1] = id;
    else found.push([id, id]);
  }
  return found;
}

/** The text with one character changed, added or taken out. */
export function mutated(source, text, extra) {
  const at = source.int(0, text.length - 1);
  const character = source.chance(0.2) ? source.pick([...extra]) : source.pick([...DIGITS]);
  const kept = source.chance(0.8) ? 1 : source.int(0, 1);
  return text.slice(0, at) + (source.chance(0.1) ? '' : character) + text.slice(at + kept);
}

/** What a page's script would get, or what the library throws. */
export function attempt(decode) {
  try {
    return decode();
  } catch (error) {
    return { error: String(error.message).slice(0, 80) };
  }
}

/** Writes one JSON line for each value that comes. */
export function print(values) {
  let pending = '';
  for (const value of values) {
    pending += JSON.stringify(value) + '\n';
    if (pending.length > 1 << 20) {
      write(pending);
      pending = '';
    }
  }
  write(pending);
}

function write(text) {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      // A pipe that is full for now.
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}
