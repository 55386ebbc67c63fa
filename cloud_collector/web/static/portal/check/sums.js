// The printed arithmetic of an invoice: steps make lines, lines make the net figure and each tax's base, those the total.
// Integers alone. Nothing is rated here: which price is due is for `verify-invoice` to say, what it comes to is checked.

import { absolute, compare, decimal, minus, over, placesOf, plus, rounded, sum, times } from "./decimal.js";

const PRINTED_PLACES = 10;
const TINY = { n: 1n, d: 10n ** BigInt(PRINTED_PLACES) };
const HUNDRED = { n: 100n, d: 1n };
const ONE = { n: 1n, d: 1n };

/** Every figure that does not come to what is printed: {line, sentence, by} with the difference in money. */
export function sumFaults(body) {
  const found = [];
  const places = placesOf(body.total);
  body.lines.forEach((line, at) => {
    for (const fault of lineFaults(line, places)) found.push({ line: at + 1, ...fault });
  });
  const amounts = body.lines.map((line) => decimal(line.amount));
  for (const tax of body.taxes) {
    const base = sum(tax.lines.map((place) => amounts[place - 1]));
    found.push(...differs(`the base of ${tax.name}`, tax.base, rounded(base, places), rounded(base, places, true)));
    const due = over(times(decimal(tax.base), decimal(tax.percent)), HUNDRED);
    found.push(...differs(`${tax.name} ${tax.percent} %`, tax.amount, rounded(due, places), rounded(due, places, true)));
  }
  const net = rounded(sum(amounts), places);
  found.push(...differs("the net amount", body.net, net, net));
  const total = rounded(sum([decimal(body.net), ...body.taxes.map((tax) => decimal(tax.amount))]), places);
  found.push(...differs("the total", body.total, total, total));
  if (body.offsets !== undefined) {
    const left = minus(decimal(body.total), sum(body.offsets.map(([, amount]) => decimal(amount))));
    found.push(...differs("what is left to pay", body.payable, rounded(left, places), rounded(left, places)));
  }
  return found;
}

function differs(what, said, up, even) {
  if (said === up || said === even) return [];
  return [{ line: null, sentence: `${what} is printed as ${said} and comes to ${up}`, by: absolute(minus(decimal(said), decimal(up))) }];
}

function lineFaults(line, places) {
  const found = [];
  const parts = [];
  let booked = null;
  let share = null;
  for (const step of line.steps) {
    if ("booked" in step) booked = decimal(step.amount);
    else if ("share" in step && "amount" in step) share = step;
    else if ("amount" in step) parts.push(decimal(step.amount));
    const due = stepDue(step);
    if (due !== null && !near(decimal(step.amount), due.value, due.slack)) {
      found.push(fault(`the step ${stepTold(step)} is printed as ${step.amount} and comes to ${rounded(due.value, places)}`, step.amount, due.value));
    }
  }
  if (share !== null) {
    const whole = times(sum(parts), over(decimal(share.share), decimal(share.of)));
    const slack = times(TINY, plus(ONE, absolute(sum(parts))));
    if (!near(decimal(share.amount), whole, slack)) {
      found.push(fault(`its share is printed as ${share.amount} and comes to ${rounded(whole, places)}`, share.amount, whole));
    }
    parts.splice(0, parts.length, decimal(share.amount));
  }
  const amount = decimal(line.amount);
  if (booked !== null) {
    if (parts.length === 0) {
      if (compare(amount, booked) !== 0) found.push(fault(`its amount is ${line.amount}, and its steps come to ${rounded(booked, places)}`, line.amount, booked));
      return found;
    }
    const before = minus(amount, booked);
    if (!roundedFrom(before, sum(parts), places, share !== null)) {
      const due = plus(decimal(rounded(sum(parts), places)), booked);
      found.push(fault(`its amount is ${line.amount}, and its steps come to ${rounded(due, places)}`, line.amount, due));
    }
    return found;
  }
  if (parts.length > 0) {
    const all = sum(parts);
    const slack = times(TINY, { n: BigInt(parts.length + 1), d: 1n });
    if (!near(decimal(line.exact), all, slack)) {
      found.push(fault(`its steps come to ${rounded(all, places)}, and it says ${line.exact}`, line.exact, all));
    }
  }
  if (!roundedFrom(amount, decimal(line.exact), places, share !== null)) {
    found.push(fault(`its amount is ${line.amount}, and ${line.exact} rounds to ${rounded(decimal(line.exact), places)}`, line.amount, decimal(line.exact)));
  }
  return found;
}

/** What a step comes to, and how far its printed digits may stand from it; null where it says no product. */
function stepDue(step) {
  if (!("amount" in step)) return null;
  if ("booked" in step) return { value: minus({ n: 0n, d: 1n }, decimal(step.booked)), slack: null };
  if ("committed" in step) return { value: minus(decimal(step.committed), decimal(step.counted)), slack: TINY };
  if ("flat" in step) return { value: decimal(step.flat), slack: TINY };
  if ("fixed" in step) return { value: decimal(step.fixed), slack: TINY };
  if ("packages" in step) return { value: times(decimal(step.packages), decimal(step.price)), slack: TINY };
  if ("percent" in step) return { value: over(times(decimal(step.quantity), decimal(step.percent)), HUNDRED), slack: slackOf(step.quantity, step.percent) };
  if ("state" in step) {
    const spent = decimal(step.days ?? step.seconds);
    return { value: over(times(spent, decimal(step.price)), decimal(step.of)), slack: TINY };
  }
  if ("price" in step) return { value: times(decimal(step.quantity), decimal(step.price)), slack: slackOf(step.quantity, step.price) };
  return null;
}

/** A quantity that no finite decimal spells is printed with ten decimals, and its product is off by as little. */
function slackOf(quantity, price) {
  return placesOf(quantity) < PRINTED_PLACES ? TINY : times(TINY, plus(ONE, absolute(decimal(price))));
}

function near(one, other, slack) {
  return slack === null ? compare(one, other) === 0 : compare(absolute(minus(one, other)), slack) <= 0;
}

/** Rounded once, either way at a half; what is shared out by largest remainder may be a coin beside it. */
function roundedFrom(amount, exact, places, shared) {
  if ([rounded(exact, places), rounded(exact, places, true)].some((text) => compare(decimal(text), amount) === 0)) return true;
  const coin = { n: 1n, d: 10n ** BigInt(places) };
  const gap = absolute(minus(amount, exact));
  // A sum of parts that were cut at ten decimals may stand on the other side of a half.
  if (compare(gap, plus({ n: 1n, d: 2n * 10n ** BigInt(places) }, times(TINY, { n: 10n, d: 1n }))) <= 0) return true;
  return shared && compare(gap, coin) < 0;
}

function fault(sentence, said, due) {
  return { sentence, by: absolute(minus(decimal(said), due)) };
}

function stepTold(step) {
  if ("state" in step) return `${step.days ?? step.seconds} of ${step.of} ${step.state}`;
  if ("price" in step && "quantity" in step) return `${step.quantity} × ${step.price}`;
  if ("packages" in step) return `${step.packages} packages × ${step.price}`;
  return Object.keys(step)[0];
}

/** What so much of a line's quantity costs by its own printed steps, taken from the dearest end: the last ones. */
export function worthOf(line, quantity) {
  let left = absolute(quantity);
  let worth = { n: 0n, d: 1n };
  for (const step of [...line.steps].reverse()) {
    if (!("quantity" in step) || left.n === 0n) continue;
    const here = decimal(step.quantity);
    const taken = compare(left, here) < 0 ? left : here;
    left = minus(left, taken);
    if ("price" in step) worth = plus(worth, times(taken, decimal(step.price)));
    else if ("percent" in step) worth = plus(worth, over(times(taken, decimal(step.percent)), HUNDRED));
  }
  const last = [...line.steps].reverse().find((step) => "quantity" in step && "price" in step);
  // More than the line holds: at the price of its last step.
  return last !== undefined && left.n > 0n && compare(absolute(quantity), decimal(line.quantity)) > 0
    ? plus(worth, times(left, decimal(last.price)))
    : worth;
}
