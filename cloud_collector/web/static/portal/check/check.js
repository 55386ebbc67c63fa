// "Check this bill": an evidence bundle's bytes in, one clear answer out. It trusts no word of the bundle but what is
// sealed, and leaves to the reader's eyes what only they can compare: the words of the keys.

import { absolute, compare, decimal, minus, placesOf, rounded } from "./decimal.js";
import { chainFaults, latin, parse, readLogs, rotations, wantedBy } from "./lines.js";
import { reader } from "./people.js";
import { bearing, isPlain, readFaults, told, tracks } from "./registers.js";
import { engine, fromPem, hashOf, pemOf, publicKey, sha256 } from "./seal.js";
import { sumFaults } from "./sums.js";
import { unpack } from "./zip.js";

/** What was checked, in the order of the report. */
export const STAGES = {
  form: "The bundle is whole",
  seal: "The invoice is as the operator sealed it",
  prices: "The price list is the one that the invoice names",
  reports: "Every meter report is as its gateway signed it, and none is missing",
  counters: "The counters on the invoice are those of the reports",
  sums: "Steps, lines, taxes and total add up",
};

/** Check a bundle: {ok, sentence, findings, stages, keys, notes, reports, engine, body}. */
export async function check(raw, progress = async () => {}) {
  const outcome = { ok: false, sentence: "", findings: [], keys: [], notes: [], reports: 0, body: null, reached: new Set(["form"]), engine: await engine() };
  try {
    await run(raw, outcome, progress);
  } catch (error) {
    // What is genuinely sealed and has another shape than an invoice's is no invoice of this form.
    add(outcome, "seal", `The bundle does not say what an evidence bundle says (${error.message}).`);
  }
  outcome.ok = outcome.findings.length === 0;
  outcome.stages = Object.entries(STAGES).map(([name, title]) => ({
    title,
    state: outcome.findings.some((each) => each.stage === name) ? "failed" : outcome.reached.has(name) ? "ok" : "skipped",
  }));
  outcome.sentence = outcome.ok ? green(outcome) : red(outcome);
  return outcome;
}

async function run(raw, outcome, progress) {
  const { files, faults } = unpack(raw);
  const damaged = faults.map((fault) => ({ stage: "form", sentence: `${upper(fault)}.`, minor: true }));
  if (!files.has("invoice.ms") || !files.has("keys.json")) {
    outcome.findings.push(...damaged);
    if (damaged.length === 0) add(outcome, "form", "The bundle holds no invoice.");
    return;
  }
  const operator = await operatorOf(files);
  const gateways = await gatewaysOf(files);
  const body = await sealed(files.get("invoice.ms"), operator, outcome, "the invoice");
  outcome.body = body;
  if (body !== null) {
    outcome.reached.add("sums");
    for (const fault of sumFaults(body)) {
      const place = fault.line === null ? "" : `Line ${fault.line}, ${body.lines[fault.line - 1].charge}: `;
      const money = reader(body).money(rounded(fault.by, placesOf(body.total)));
      const sentence = `${place}${place === "" ? upper(fault.sentence) : fault.sentence}: a difference of ${money}.`;
      outcome.findings.push({ stage: "sums", line: fault.line, amount: money, sentence });
    }
    outcome.keys.push({ whose: body.operator.name, words: operator.words, sha256: operator.sha256, where: "your contract" });
    if ("voids" in body) await checkVoid(files, body, operator, outcome);
    else await checkEvidence(files, body, operator, gateways, outcome, progress);
  }
  // What a changed byte means is said by what it broke; the form is named alone where nothing else is.
  outcome.findings.push(...damaged);
  if (files.has("invoice.pdf")) outcome.notes.push("invoice.pdf is not sealed: believe this answer, and not its page.");
}

async function checkEvidence(files, body, operator, gateways, outcome, progress) {
  await checkCatalog(files, body, outcome);
  outcome.reached.add("reports");
  const held = await readLogs(files, gateways, progress);
  outcome.reports = held.length;
  const all = tracks(held);
  for (const each of held.filter((row) => row.fault !== undefined)) {
    outcome.findings.push(reportFinding(body, all, placed(each, held), each.fault));
  }
  for (const fault of chainFaults(held, wantedBy(body))) {
    if (fault.held !== undefined) outcome.findings.push(reportFinding(body, all, placed(fault.held, held), fault.why));
    else for (const seq of fault.absent.seqs.slice(0, 20)) outcome.findings.push(reportFinding(body, all, { ...fault.absent, seq, body: null }, "had been received, and is missing"));
  }
  const { introduced, faults } = await rotations(held);
  for (const fault of faults) outcome.findings.push(reportFinding(body, all, placed(fault.held, held), fault.why));
  for (const [name, key] of gateways) {
    const gateway = name.split(" ")[0];
    if (!introduced.has(name)) outcome.keys.push({ whose: `gateway ${gateway}`, words: key.words, sha256: key.sha256, where: "the label on the gateway" });
  }
  if (latin(files.get("keys.json")) !== keysAgain(operator, gateways, held)) {
    add(outcome, "form", "keys.json does not say of each key whose it is and which reports here it signs, or it was changed.");
  }
  outcome.reached.add("counters");
  const broken = new Set(held.filter((row) => !row.genuine).map((row) => placed(row, held)).map((at) => `${at.gateway} ${at.log} ${at.epoch} ${at.seq}`));
  for (const fault of readFaults(body, all, broken)) {
    const line = body.lines[fault.line - 1];
    const sentence = `Line ${fault.line}, ${line.charge}: ${fault.sentence}. ${reader(body).money(line.amount)} rest on it.`;
    outcome.findings.push({ stage: "counters", line: fault.line, amount: reader(body).money(line.amount), sentence });
  }
  const other = body.lines.flatMap((line, at) => (line.kind === "usage" && line.reads.length > 0 && !isPlain(body, line) ? [at + 1] : []));
  if (other.length > 0) {
    outcome.notes.push(`How much of the counters falls on line ${other.join(", ")} follows from the price list (windows, peaks, earlier invoices): verify-invoice works it out.`);
  }
}

async function checkCatalog(files, body, outcome) {
  outcome.reached.add("prices");
  for (const [at, revision] of body.catalog.entries()) {
    const content = files.get(at === 0 ? "catalog.toml" : `catalog.${revision.revision}.toml`);
    const hash = content === undefined ? null : [...(await sha256(content))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hash !== revision.sha256) add(outcome, "prices", `Revision ${revision.revision} of the price list is not the one that the invoice names.`);
  }
}

async function checkVoid(files, body, operator, outcome) {
  const taken = files.get("voided.ms");
  if (taken === undefined) {
    add(outcome, "form", "The bundle lacks the invoice that this credit note takes back.");
    return;
  }
  const old = await sealed(taken, operator, outcome, "the invoice that is taken back");
  if (old === null) return;
  if ((await hashOf(taken)) !== body.voids.hash) add(outcome, "seal", `The invoice that is taken back is not ${body.voids.number} as the credit note names it.`);
  const places = placesOf(body.total);
  old.lines.forEach((line, at) => {
    const left = absolute(minus(decimal(line.amount), minus({ n: 0n, d: 1n }, decimal(body.lines[at]?.amount ?? "0"))));
    if (left.n !== 0n) {
      const money = reader(body).money(rounded(left, places));
      outcome.findings.push({ stage: "sums", line: at + 1, amount: money, sentence: `Line ${at + 1}, ${line.charge}, is not taken back in full: ${money} are left.` });
    }
  });
  if (compare(decimal(old.total), minus({ n: 0n, d: 1n }, decimal(body.total))) !== 0) add(outcome, "sums", "The credit note's total is not that of the invoice.");
}

async function sealed(raw, operator, outcome, what) {
  outcome.reached.add("seal");
  const line = parse(raw);
  if (line === null || line.tag !== "MI1") {
    add(outcome, "seal", `${upper(what)} was changed: it is no sealed line any more, so no line, day or amount of it can be believed.`);
    return null;
  }
  if (!(await operator.verifies(line.signed, line.signature)) || line.body.key !== operator.id) {
    add(outcome, "seal", `${upper(what)} was changed after the operator sealed it, or the key was: its total of ${reader(line.body).money(line.body.total)} is not proven.`);
  }
  return line.body;
}

async function operatorOf(files) {
  return publicKey(fromPem(JSON.parse(latin(files.get("keys.json"))).operator.pem));
}

async function gatewaysOf(files) {
  const found = new Map();
  for (const row of JSON.parse(latin(files.get("keys.json"))).gateways) {
    const key = await publicKey(fromPem(row.pem));
    found.set(`${row.gateway} ${key.id}`, key);
  }
  return found;
}

/** keys.json as it must be: every word of it follows from the keys and the reports. */
function keysAgain(operator, gateways, held) {
  const rows = [...gateways].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, key]) => {
    const gateway = name.split(" ")[0];
    const signs = new Map();
    for (const { body } of held.filter((each) => each.body !== null && each.gateway === gateway && each.body.key === key.id)) {
      const stretch = signs.get(`${body.log} ${body.epoch}`) ?? { log: body.log, epoch: body.epoch, from: body.seq, until: body.seq };
      stretch.from = Math.min(stretch.from, body.seq);
      stretch.until = Math.max(stretch.until, body.seq);
      signs.set(`${body.log} ${body.epoch}`, stretch);
    }
    const sorted = [...signs].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, stretch]) => stretch);
    return { gateway, key: key.id, pem: pemOf(key.raw), words: key.words, signs: sorted };
  });
  return `${JSON.stringify({ operator: { key: operator.id, pem: pemOf(operator.raw), words: operator.words }, gateways: rows }, null, 1)}\n`;
}

/** Where a row stands by what it says, or, where it cannot be read or believed, by its neighbours. */
function placed(each, held) {
  const rows = held.filter((row) => row.file === each.file);
  const at = rows.indexOf(each);
  const before = rows.slice(0, at).filter((row) => row.genuine).pop();
  const after = rows.slice(at + 1).find((row) => row.genuine);
  if (each.genuine) return where(each, each.body.epoch, each.body.seq);
  const ahead = after === undefined ? 0 : rows.indexOf(after) - at;
  // Where one epoch follows another, what stands right before its first held report is of the later one.
  if (after !== undefined && (before === undefined || (before.body.epoch !== after.body.epoch && after.body.seq > ahead))) {
    return where(each, after.body.epoch, Math.max(1, after.body.seq - ahead));
  }
  if (before !== undefined) return where(each, before.body.epoch, before.body.seq + at - rows.indexOf(before));
  return where(each, String(each.body?.epoch ?? ""), Number.isSafeInteger(each.body?.seq) ? each.body.seq : 1);
}

function where({ gateway, log, body, file, row }, epoch, seq) {
  return { gateway, log, epoch, seq, body, file, row };
}

function reportFinding(body, all, place, why) {
  const bears = bearing(body, all, place);
  const day = spoken(bears.from, bears.until, body.period.timezone);
  const money = told(bears, reader(body), placesOf(body.total));
  const which = `Report ${place.seq} of ${place.gateway}${day === "" ? "" : ` of ${day}`} ${why}.`;
  let means = `No line of this invoice counts it, so it changes ${reader(body).money(rounded({ n: 0n, d: 1n }, placesOf(body.total)))}.`;
  // Lines by time of day name no counters: what rests on a report there, only rating says.
  const timed = body.lines.some((each) => each.kind === "usage" && each.reads.length === 0 && /[1-9]/.test(each.quantity));
  if (bears.line === null && timed) means = "Lines by time of day may rest on it; verify-invoice computes what it changes.";
  if (bears.line !== null) {
    const line = `Line ${bears.line}, ${bears.charge}`;
    if (bears.changes) means = `${line}: it departs from the counters before and after it by ${money.units}, which is ${money.amount}.`;
    else if (bears.units.n === 0n) means = `${line}: nothing was used in it, so it changes ${money.amount}.`;
    else means = `${line}: the ${money.units} in it, which are ${money.amount}, are not proven.`;
  }
  const file = place.file === undefined ? "" : `${place.file} row ${place.row}`;
  return { stage: "reports", line: bears.line, day, amount: money.amount, place: file, sentence: `${which} ${means}` };
}

/** A time for people, in the contract's zone: a day, or from and to. */
export function spoken(from, until, zone) {
  if (from === null || from === undefined) return "";
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "long", year: "numeric" });
  const time = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const begin = new Date(from * 1000);
  if (Number.isNaN(begin.getTime())) return "";
  const last = new Date(((until ?? from + 1) - 1) * 1000);
  const first = day.format(begin);
  const clock = time.format(begin);
  if (Number.isNaN(last.getTime()) || first === day.format(last)) return clock === "00:00" ? first : `${first} ${clock}`;
  return `${first} ${clock} to ${day.format(last)}`;
}

function green(outcome) {
  const body = outcome.body;
  const what = body.kind === "credit_note" ? "credit note" : "invoice";
  const rest = outcome.reports === 0 ? "" : `, all ${outcome.reports} meter reports are as their gateways signed them`;
  const sent = (body.sent ?? []).join(", ");
  const word = sent === "" ? "" : ` The usage of ${sent} was sent to the operator over HTTP and sealed with a key that the operator holds, not at a meter.`;
  return `The ${what} ${body.number} over ${reader(body).money(body.total)} is as it was sealed${rest}, and every figure adds up.${word}`;
}

function red(outcome) {
  const sealed = outcome.findings.find((each) => each.stage === "seal");
  const first =
    (sealed && (outcome.findings.find((each) => each.stage === "sums" && each.line) ?? sealed)) ??
    outcome.findings.find((each) => each.stage === "reports" && each.line) ??
    outcome.findings.find((each) => each.line) ?? outcome.findings.find((each) => !each.minor) ?? outcome.findings[0];
  const others = outcome.findings.filter((each) => each !== first && !each.minor).length;
  const more = others === 0 ? "" : ` ${others} more ${others === 1 ? "thing does" : "things do"} not hold: see below.`;
  return `${first.sentence}${more}`;
}

function add(outcome, stage, sentence) {
  outcome.findings.push({ stage, line: null, amount: null, sentence });
}

function upper(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
