// Decimal strings as exact fractions of two BigInts: no amount ever becomes a floating number.

const DECIMAL = /^(-?)([0-9]+)(?:\.([0-9]+))?$/;

/** A fraction {n, d} with a positive denominator. */
export function fraction(n, d = 1n) {
  return d < 0n ? { n: -n, d: -d } : { n, d };
}

/** The number that a text spells; throws where it spells none. */
export function decimal(text) {
  const found = DECIMAL.exec(text);
  if (found === null) throw new Error(`${JSON.stringify(text)} is no number`);
  const places = found[3] ?? "";
  const whole = BigInt(found[2] + places);
  return { n: found[1] ? -whole : whole, d: 10n ** BigInt(places.length) };
}

/** How many decimals a text has. */
export function placesOf(text) {
  return (DECIMAL.exec(text)?.[3] ?? "").length;
}

export const plus = (a, b) => ({ n: a.n * b.d + b.n * a.d, d: a.d * b.d });
export const minus = (a, b) => ({ n: a.n * b.d - b.n * a.d, d: a.d * b.d });
export const times = (a, b) => ({ n: a.n * b.n, d: a.d * b.d });
export const over = (a, b) => fraction(a.n * b.d, a.d * b.n);
export const absolute = (a) => ({ n: a.n < 0n ? -a.n : a.n, d: a.d });

/** Below, equal or above: -1, 0 or 1. */
export function compare(a, b) {
  const left = a.n * b.d;
  const right = b.n * a.d;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The sum of a list of fractions. */
export function sum(all) {
  return all.reduce(plus, { n: 0n, d: 1n });
}

/** Rounded to so many decimals, as a text; a half goes away from zero, or to the even digit. */
export function rounded(value, places, even = false) {
  const scaled = (value.n < 0n ? -value.n : value.n) * 10n ** BigInt(places);
  let whole = scaled / value.d;
  const twice = 2n * (scaled % value.d);
  if (twice > value.d || (twice === value.d && (!even || whole % 2n === 1n))) whole += 1n;
  const digits = whole.toString().padStart(places + 1, "0");
  const text = places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
  return value.n < 0n && whole > 0n ? `-${text}` : text;
}

/** As people write it: at most six decimals, no zeros at the end. */
export function plain(value) {
  const text = rounded(value, 6);
  return text.replace(/\.?0+$/, "") || "0";
}
