// Counters: how they run through the reports, whether the invoice reads them where they stand, and which line, day
// and amount a report that was changed bears on.

import { absolute, compare, decimal, fraction, minus, over, plain, rounded, sum, times } from "./decimal.js";
import { worthOf } from "./sums.js";

const PREFIXES = { "": 0, k: 3, M: 6, G: 9, T: 12, m: -3, u: -6 };
const BINARY = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n };
/** Atoms of the units that meters use, as [what it measures, how many base units]. */
const ATOMS = {
  Wh: ["energy", 3600n], "W.h": ["energy", 3600n], J: ["energy", 1n], By: ["data", 8n], bit: ["data", 1n],
  l: ["volume", 1n], L: ["volume", 1n], m3: ["volume", 1000n], s: ["time", 1n], min: ["time", 60n], h: ["time", 3600n],
  d: ["time", 86400n], g: ["mass", 1n], m: ["length", 1n],
};

/** How many of the one unit make one of the other, exactly; null where that is not known here. */
export function ratio(unit, into) {
  if (unit === into) return fraction(1n);
  const one = unitOf(unit);
  const other = unitOf(into);
  return one === null || other === null || one.of !== other.of ? null : over(one.factor, other.factor);
}

function unitOf(name) {
  if (name in ATOMS) return { of: ATOMS[name][0], factor: fraction(ATOMS[name][1]) };
  for (const [prefix, two] of Object.entries(BINARY)) {
    const atom = ATOMS[name.slice(prefix.length)];
    if (name.startsWith(prefix) && atom?.[0] === "data") return { of: "data", factor: fraction(atom[1] * 2n ** two) };
  }
  for (const [prefix, ten] of Object.entries(PREFIXES)) {
    const atom = ATOMS[name.slice(prefix.length)];
    if (prefix !== "" && name.startsWith(prefix) && atom !== undefined && !["min", "d", "m3"].includes(name.slice(prefix.length))) {
      const power = 10n ** BigInt(Math.abs(ten));
      return { of: atom[0], factor: ten > 0 ? fraction(atom[1] * power) : fraction(atom[1], power) };
    }
  }
  return null;
}

/** What each genuine report says of each channel: channel → epoch → [{seq, low, high, held}] in order. */
export function tracks(held) {
  const found = new Map();
  for (const each of held) {
    if (each.body === null) continue;
    for (const [name, low, high, raw] of marksOf(each.body)) {
      if (![low, high].every(Number.isSafeInteger)) continue;
      const track = `${each.gateway} ${each.log} ${name} ${each.body.epoch}`;
      if (!found.has(track)) found.set(track, []);
      found.get(track).push({ seq: each.body.seq, low: BigInt(low), high: BigInt(high), raw: raw === undefined || raw === null ? null : BigInt(raw), held: each });
    }
  }
  return found;
}

function marksOf(body) {
  try {
    if (body.kind === "usage" || body.kind === "summary") {
      return body.rows.map((row) => [`${row[0]} ${row[1]}`, row[4], row[4] + row[5].reduce((all, delta) => all + delta, 0)]);
    }
    if (body.kind === "gap") {
      return body.rows.filter((row) => row[5] !== null && row[6] !== null).map((row) => [`${row[0]} ${row[1]}`, row[5], row[6]]);
    }
    if (body.kind === "birth") return body.channels.map((row) => [`${row[0]} ${row[1]}`, row[6], row[6], row[7]]);
    if (body.kind === "exchange") return body.rows.map((row) => [`${row[0]} ${row[1]}`, row[6], row[6], row[5]]);
  } catch {
    // A changed report may have any shape: it says nothing of counters then.
  }
  return [];
}

/** Counters that the invoice's lines name and the genuine reports do not bear out: {line, sentence}. */
export function readFaults(body, all, broken) {
  const found = [];
  const births = [...broken].map((place) => place.split(" ")).filter(([, , , seq]) => seq === "1");
  body.lines.forEach((line, at) => {
    for (const read of line.reads) {
      const born = births.some(([gateway, log]) => gateway === read[0] && log === read[1]);
      const [gateway, log, device, meter, epoch, first, from, last, until] = read;
      const track = all.get(`${gateway} ${log} ${device} ${meter} ${epoch}`) ?? [];
      // What rests on a report that does not hold is named with that report.
      if ([first, last].some((seq) => broken.has(`${gateway} ${log} ${epoch} ${seq}`)) || track.some((mark) => !mark.held.genuine)) continue;
      for (const [seq, figure] of [[first, from], [last, until]]) {
        const bounds = standing(track, seq);
        const value = BigInt(figure);
        // Between two epochs the meter's own reading is carried over: the counter begins before the birth's.
        if (bounds !== null && value < bounds.low && (carried(all, track, read, bounds.low - value) || born)) continue;
        if (bounds === null || value < bounds.low || value > bounds.high) {
          const says = bounds === null ? "no report here says" : `report ${seq} says ${bounds.low} to ${bounds.high}`;
          found.push({ line: at + 1, sentence: `it reads the counter ${meter} of ${gateway}/${device} as ${figure}, and ${says}` });
        }
      }
      if (BigInt(until) < BigInt(from)) found.push({ line: at + 1, sentence: `the counter ${meter} of ${gateway}/${device} runs backwards` });
    }
  });
  return found;
}

/** Whether the meter itself, read at the end of one epoch and the birth of the next, moved by so many units between. */
function carried(all, track, read, units) {
  const birth = track[0].held.body;
  const previous = birth.kind === "birth" && birth.seq === 1 ? birth.previous : null;
  const first = track.find((mark) => mark.raw !== null);
  if (previous === null || first === undefined) return false;
  const old = (all.get(`${read[0]} ${read[1]} ${read[2]} ${read[3]} ${previous[0]}`) ?? []).filter((mark) => mark.held.genuine);
  const known = old.filter((mark) => mark.raw !== null).pop();
  if (known === undefined) return false;
  const top = old.reduce((most, mark) => (mark.high > most ? mark.high : most), 0n);
  return first.raw - (first.low - track[0].low) - (known.raw + top - known.high) === units;
}

/** Where a channel's counter stands in a report: from the end of the one before it to its own end. */
function standing(track, seq) {
  const here = track.filter((mark) => mark.seq === seq);
  if (here.length === 0) return null;
  const before = track.filter((mark) => mark.seq < seq);
  const low = here.reduce((least, mark) => (mark.low < least ? mark.low : least), here[0].low);
  const high = here.reduce((most, mark) => (mark.high > most ? mark.high : most), here[0].high);
  const top = before.reduce((most, mark) => (mark.high > most ? mark.high : most), -1n);
  return { low: top >= 0n && top < low ? top : low, high };
}

/** How many of a line's own units its counters moved by; null where units do not convert here. */
export function unitsRead(body, line) {
  const parts = [];
  for (const [gateway, , device, meter, , , from, , until] of line.reads) {
    const channel = body.channels.find((row) => row[0] === gateway && row[1] === device && row[2] === meter);
    const factor = channel === undefined ? null : ratio(channel[3], line.unit);
    if (factor === null) return null;
    parts.push(times(times(fraction(BigInt(until) - BigInt(from)), factor), power(channel[4])));
  }
  return sum(parts);
}

/** Whether a usage line's quantity is the plain difference of its counters: then a report's share of it is exact. */
export function isPlain(body, line) {
  const read = line.kind === "usage" && line.window === null && line.reads.length > 0 ? unitsRead(body, line) : null;
  return read !== null && compare(read, decimal(line.quantity)) === 0;
}

/** What a report that does not hold bears on: {line, charge, seqs, from, until, amount, units, changes}. */
export function bearing(body, all, where) {
  const { gateway, log, epoch, seq, body: said } = where;
  const reach = timeOf(said);
  let chosen = null;
  body.lines.forEach((line, at) => {
    const parts = [];
    for (const read of line.reads) {
      if (read[0] !== gateway || read[1] !== log || read[4] !== epoch || seq < read[5] || seq > read[7]) continue;
      parts.push(share(body, line, read, all, where));
    }
    if (parts.length === 0) return;
    const changed = sum(parts.map((part) => absolute(part.changed)));
    const resting = sum(parts.map((part) => part.resting));
    const units = changed.n === 0n ? resting : changed;
    const mine = { line: at + 1, charge: line.charge, unit: line.unit, units, changes: changed.n !== 0n, amount: worthOf(line, units), sure: isPlain(body, line) };
    if (chosen === null || compare(mine.amount, chosen.amount) > 0) chosen = mine;
  });
  const span = reach ?? spanBetween(all, where, Date.parse(body.period.start) / 1000);
  return { ...(chosen ?? { line: null, charge: null, unit: "", units: fraction(0n), changes: false, amount: fraction(0n), sure: true }), ...span };
}

/** The window that a usage report says, where it can be one. */
function timeOf(said) {
  const fits = said?.kind === "usage" && [said.start, said.step, said.count].every(Number.isSafeInteger);
  return fits && said.start >= 0 && said.start < 2 ** 33 ? { from: said.start, until: said.start + said.step * said.count } : null;
}

/** Of one counter: by how much the changed report departs from its neighbours, and what rests on it. */
function share(body, line, read, all, where) {
  const [gateway, log, device, meter, epoch, , from, , until] = read;
  const channel = body.channels.find((row) => row[0] === gateway && row[1] === device && row[2] === meter);
  const factor = channel === undefined ? null : ratio(channel[3], line.unit);
  const scale = factor === null ? proportion(line) : times(factor, power(channel[4]));
  const track = (all.get(`${gateway} ${log} ${device} ${meter} ${epoch}`) ?? []).filter((mark) => mark.held.genuine);
  const before = track.filter((mark) => mark.seq < where.seq).pop();
  const after = track.find((mark) => mark.seq > where.seq);
  const low = before === undefined ? BigInt(from) : before.high;
  const high = after === undefined ? BigInt(until) : after.low;
  const told = marksOf(where.body ?? {}).filter(([name]) => name === `${device} ${meter}`);
  const claimed = told.length === 0 || !told[0].slice(1, 3).every(Number.isSafeInteger) ? null : BigInt(told[0][2]) - BigInt(told[0][1]);
  return {
    changed: claimed === null ? fraction(0n) : times(fraction(claimed - (high - low)), scale),
    resting: times(fraction(high > low ? high - low : 0n), scale),
  };
}

function proportion(line) {
  const moved = line.reads.reduce((all, read) => all + BigInt(read[8]) - BigInt(read[6]), 0n);
  return moved === 0n ? fraction(0n) : over(decimal(line.quantity), fraction(moved));
}

/** The time that a report must be of by the reports beside it. */
function spanBetween(all, { gateway, log, epoch, seq }, start) {
  let from = null;
  let until = null;
  for (const [name, track] of all) {
    const parts = name.split(" ");
    if (parts[0] !== gateway || parts[1] !== log || parts[4] !== epoch) continue;
    for (const mark of track) {
      const report = mark.held.body;
      if (!mark.held.genuine || report.kind !== "usage") continue;
      const end = report.start + report.step * report.count;
      if (mark.seq < seq && (from === null || end > from)) from = end;
      if (mark.seq > seq && (until === null || report.start < until)) until = report.start;
    }
  }
  if (from === null && until !== null) from = until > start ? start : until - 1;
  return { from: from ?? start, until };
}

function power(exponent) {
  const ten = 10n ** BigInt(Math.abs(exponent));
  return exponent < 0 ? fraction(1n, ten) : fraction(ten);
}

/** Units and money of a bearing as text. */
export function told(bears, people, places) {
  const units = people.number(plain(bears.units)) + (bears.unit === "1" ? "" : ` ${bears.unit}`);
  return { units, amount: `${bears.sure ? "" : "up to "}${people.money(rounded(bears.amount, places))}` };
}

/** The difference of two fractions is nothing. */
export function same(one, other) {
  return minus(one, other).n === 0n;
}
