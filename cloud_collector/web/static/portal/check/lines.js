// Sealed lines: one spelling, a signature by the gateway's key, each naming the hash of the one before it.

import { fromText, hashOf, publicKey } from "./seal.js";

const PLAIN = /^(MS1)\|(\{[ !-[\]-{}~]*\})\|([A-Za-z0-9_-]{85}[AQgw])$/;
const INVOICE = /^(MI1)\|(\{[ -{}~]*\})\|([A-Za-z0-9_-]{85}[AQgw])$/;
const FILE = /^lines\/([a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)\.([a-z0-9_.-]{1,32})\.ms$/;
const BATCH = 64;

/** The parts of a line, or null where these bytes are none. */
export function parse(raw) {
  const text = latin(raw);
  const found = (text.startsWith("MI1") ? INVOICE : PLAIN).exec(text);
  if (found === null) return null;
  let body = null;
  try {
    body = JSON.parse(found[2]);
  } catch {
    return null;
  }
  return { raw, tag: found[1], body, signed: raw.subarray(0, raw.length - 87), signature: fromText(found[3]) };
}

/** Every row of every file of lines: {file, row, gateway, log, raw, line, body, genuine, hash}, in order. */
export async function readLogs(files, keys, progress) {
  const held = [];
  for (const [file, content] of files) {
    const name = FILE.exec(file);
    if (name === null) continue;
    for (const [place, raw] of rowsOf(content).entries()) {
      const line = parse(raw);
      held.push({ file, row: place + 1, gateway: name[1], log: name[2], raw, line, body: line?.body ?? null });
    }
  }
  let done = 0;
  for (let from = 0; from < held.length; from += BATCH) {
    const batch = held.slice(from, from + BATCH);
    await Promise.all(batch.map((each) => judge(each, keys)));
    done += batch.length;
    await progress(done, held.length);
  }
  return held;
}

async function judge(held, keys) {
  held.hash = await hashOf(held.raw);
  held.genuine = false;
  if (held.line === null) {
    held.fault = "was changed after the gateway signed it: it is no sealed line any more";
    return;
  }
  const body = held.body;
  if (body.gateway !== held.gateway || body.log !== held.log) {
    held.fault = "stands in another log's file than the one that it names";
    return;
  }
  const key = keys.get(`${held.gateway} ${body.key}`);
  if (key === undefined) {
    held.fault = `names the key ${body.key}, which the bundle does not have`;
    return;
  }
  held.genuine = await key.verifies(held.line.signed, held.line.signature);
  if (!held.genuine) held.fault = "was changed after the gateway signed it";
}

/** What breaks the chain: reports out of order, absent, or following another than the one that stands there. */
export function chainFaults(held, wanted) {
  const found = [];
  let before = null;
  const positions = new Set();
  for (const each of held) {
    if (each.body === null) {
      before = null;
      continue;
    }
    const body = each.body;
    positions.add(`${each.gateway} ${each.log} ${body.epoch} ${body.seq}`);
    if (before !== null && before.file === each.file) {
      const old = before.body;
      if (old.epoch > body.epoch || (old.epoch === body.epoch && old.seq >= body.seq)) {
        found.push({ held: each, why: "does not stand in its order" });
      } else if (old.epoch === body.epoch && old.seq + 1 === body.seq && before.genuine && each.genuine) {
        if (body.prev !== before.hash) {
          found.push({ held: each, why: `follows another report ${old.seq} than the one that stands here` });
        }
      }
    }
    if (each.genuine && !wanted.allows(each)) {
      found.push({ held: each, why: "is not one that this invoice rests on: it was added" });
    }
    before = each;
  }
  const unreadable = held.some((each) => each.body === null || !each.genuine);
  for (const [gateway, log, epoch, first, last] of wanted.stretches) {
    const absent = [];
    for (let seq = first; seq <= last; seq += 1) {
      if (wanted.received(gateway, log, epoch, seq) && !positions.has(`${gateway} ${log} ${epoch} ${seq}`)) absent.push(seq);
    }
    // A changed row may have said of itself where it stands: it is named once.
    if (absent.length > 0 && !unreadable) found.push({ absent: { gateway, log, epoch, seqs: absent } });
  }
  return found;
}

/** Which reports the sealed invoice rests on: stretches of positions, what had been received of them. */
export function wantedBy(body) {
  const stretches = [];
  const reads = [
    ...body.rated.flatMap((each) => each.reads),
    ...body.lines.flatMap((each) => each.reads),
    ...body.activations.flatMap((each) => each.reads),
    ...body.beside,
  ];
  for (const [gateway, log, , , epoch, first, , last] of reads) stretches.push([gateway, log, epoch, first, last]);
  for (const [gateway, log, epoch, first, last] of body.cutoff.also) stretches.push([gateway, log, epoch, first, last]);
  const cutoffs = new Map(body.cutoff.received.map(([gateway, log, epoch, last, holes]) => [`${gateway} ${log} ${epoch}`, { last, holes }]));
  const merged = mergedStretches(stretches);
  const received = (gateway, log, epoch, seq) => {
    const cutoff = cutoffs.get(`${gateway} ${log} ${epoch}`);
    return cutoff !== undefined && seq <= cutoff.last && !cutoff.holes.some(([a, b]) => a <= seq && seq <= b);
  };
  const allows = ({ gateway, log, body: report }) => {
    const ours = merged.filter(([g, l]) => g === gateway && l === log);
    if (report.kind === "rotate") return ours.length > 0;
    if (!received(gateway, log, report.epoch, report.seq)) return false;
    if (["birth", "clock", "exchange"].includes(report.kind)) return true;
    return ours.some(([, , epoch, first, last]) => epoch === report.epoch && first <= report.seq && report.seq <= last);
  };
  return { stretches: merged, received, allows };
}

function mergedStretches(all) {
  const sorted = [...all].sort((a, b) => (a.slice(0, 3).join(" ") < b.slice(0, 3).join(" ") ? -1 : a.slice(0, 3).join(" ") > b.slice(0, 3).join(" ") ? 1 : a[3] - b[3]));
  const found = [];
  for (const each of sorted) {
    const last = found[found.length - 1];
    if (last !== undefined && last[0] === each[0] && last[1] === each[1] && last[2] === each[2] && each[3] <= last[4] + 1) {
      last[4] = Math.max(last[4], each[4]);
    } else {
      found.push([...each]);
    }
  }
  return found;
}

/** Keys that were introduced by another's `rotate` line, and lines signed by a key at a wrong position. */
export async function rotations(held) {
  const introduced = new Set();
  const faults = [];
  const replaced = new Map();
  for (const each of held) {
    if (!each.genuine) continue;
    const body = each.body;
    const chain = `${each.gateway} ${each.log} ${body.epoch}`;
    const change = replaced.get(`${chain} ${body.key}`);
    if (change !== undefined && change < body.seq) faults.push({ held: each, why: "is signed by a key that had been replaced" });
    if (body.kind !== "rotate") continue;
    const next = await publicKey(fromText(body.next));
    const statement = `MS1-rotate|${body.gateway}|${body.log}|${body.epoch}|${body.seq}|${body.next}`;
    if (await next.verifies(new TextEncoder().encode(statement), fromText(body.proof))) {
      introduced.add(`${each.gateway} ${next.id}`);
      replaced.set(`${chain} ${body.key}`, body.seq);
    } else {
      faults.push({ held: each, why: "names a next key that has not agreed" });
    }
  }
  return { introduced, faults };
}

function rowsOf(content) {
  const found = [];
  let from = 0;
  for (let at = 0; at < content.length; at += 1) {
    if (content[at] === 10) {
      found.push(content.subarray(from, at));
      from = at + 1;
    }
  }
  if (from < content.length) found.push(content.subarray(from));
  return found;
}

/** Bytes as text, one character a byte. */
export function latin(bytes) {
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  return text;
}
