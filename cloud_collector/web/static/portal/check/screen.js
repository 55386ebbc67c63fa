// What people see of a check: one sentence, green or red, then what was looked at, and the words to compare.

import { check } from "./check.js";

/** Check a bundle and say on the page what came of it; `dispute` is where a line can be disputed, if anywhere. */
export async function show(root, raw, dispute = "") {
  root.replaceChildren(status("Checking …"));
  const outcome = await check(raw, async (done, all) => {
    root.replaceChildren(status(`Checking meter reports: ${done} of ${all} …`));
    // The page is drawn in between, and stays usable.
    await new Promise((go) => setTimeout(go, 0));
  });
  root.dataset.verdict = outcome.ok ? "good" : "bad";
  root.replaceChildren(verdict(outcome), ...findings(outcome, dispute), stages(outcome), ...keys(outcome), ...notes(outcome));
  root.querySelector(".verdict").focus();
  return outcome;
}

function status(text) {
  const line = made("p", "progress", text);
  line.setAttribute("role", "status");
  return line;
}

function verdict(outcome) {
  const box = made("div", `verdict ${outcome.ok ? "good" : "bad"}`);
  box.tabIndex = -1;
  box.setAttribute("role", "status");
  box.append(made("strong", "", outcome.ok ? "✔ Everything holds." : "✘ This does not hold."), " ", made("span", "", outcome.sentence));
  return box;
}

function findings(outcome, dispute) {
  if (outcome.ok) return [];
  const list = made("ol", "findings");
  for (const each of outcome.findings.slice(0, 50)) {
    const item = made("li", "", each.sentence);
    if (each.place) item.append(" ", made("small", "", each.place));
    if (dispute !== "" && each.line) {
      const link = made("a", "", `Dispute line ${each.line}`);
      link.href = `${dispute}?line=${each.line}&why=${encodeURIComponent(each.sentence)}`;
      item.append(" ", link);
    }
    list.append(item);
  }
  const more = outcome.findings.length - 50;
  return [made("h2", "", "What does not hold"), list, ...(more > 0 ? [made("p", "", `… and ${more} more.`)] : [])];
}

function stages(outcome) {
  const words = { ok: ["✔", "holds"], failed: ["✘", "does not hold"], skipped: ["–", "could not be looked at"] };
  const list = made("ul", "stages");
  for (const each of outcome.stages) {
    const [mark, word] = words[each.state];
    const item = made("li", each.state);
    const sign = made("span", "mark", mark);
    sign.setAttribute("aria-hidden", "true");
    item.append(sign, ` ${each.title}: `, made("em", "", word));
    list.append(item);
  }
  return list;
}

function keys(outcome) {
  if (outcome.keys.length === 0) return [];
  const list = made("dl", "keys");
  for (const key of outcome.keys) {
    list.append(made("dt", "", `${key.whose}: compare with ${key.where}`), made("dd", "", key.words.replaceAll("-", " ")));
  }
  const why = "Nobody but you can check these words. Where they are the same, the reports are your meters' own.";
  return [made("h2", "", "Compare these words"), made("p", "", why), list];
}

function notes(outcome) {
  const told = [...outcome.notes, `Checked here, on your device, by its ${outcome.engine === "WebCrypto" ? "own WebCrypto" : "JavaScript (no WebCrypto here)"}; nothing was sent.`];
  return told.map((text) => made("p", "note", text));
}

function made(tag, name, text = "") {
  const found = document.createElement(tag);
  if (name !== "") found.className = name;
  // Text only: what a bundle says is never markup.
  found.textContent = text;
  return found;
}
