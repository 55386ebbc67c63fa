// Figures as the invoice's account reads them: its separators, its currency's place; digit for digit, nothing is rounded.

const DIGITS = /^(-?)([0-9]+)(?:\.([0-9]+))?$/;

/** {money, number} of an invoice's body: decimal texts in, texts for people out; plain where it names no locale. */
export function reader(body) {
  const locale = localeOf(body);
  const plainly = { numberingSystem: "latn", useGrouping: "always" };
  const number = (text) => (locale === null ? text : spelled(new Intl.NumberFormat(locale, plainly), text));
  const money = (text) => {
    if (locale === null) return `${text} ${body.currency}`;
    return spelled(new Intl.NumberFormat(locale, { ...plainly, style: "currency", currency: body.currency, currencyDisplay: "narrowSymbol" }), text);
  };
  return { money, number };
}

function localeOf(body) {
  const tag = typeof body?.account?.locale === "string" ? body.account.locale.replace("_", "-") : "";
  try {
    // A body that was changed may say anything: what no browser knows is written plainly.
    new Intl.NumberFormat(tag, { style: "currency", currency: body.currency });
    return Intl.NumberFormat.supportedLocalesOf(tag)[0] ?? null;
  } catch {
    return null;
  }
}

/** Browsers know where the parts stand; the digits are the text's own, which no floating number could hold. */
function spelled(format, text) {
  const found = DIGITS.exec(text);
  if (found === null) return text;
  const whole = format.formatToParts(BigInt(found[2]));
  const point = format.formatToParts(1.5).find((part) => part.type === "decimal")?.value ?? ".";
  const last = whole.map((part) => part.type).lastIndexOf("integer");
  const kept = whole.filter((part) => part.type !== "decimal" && part.type !== "fraction" && part.type !== "minusSign");
  const said = kept.map((part) => (part === whole[last] && found[3] !== undefined ? part.value + point + found[3] : part.value)).join("");
  return `${found[1] === "-" ? "\u2212" : ""}${said}`;
}
