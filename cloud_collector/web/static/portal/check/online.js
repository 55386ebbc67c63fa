// On the portal: fetches the invoice's evidence as it stands in the store now, and checks it.

import { show } from "./screen.js";

const root = document.getElementById("check");

async function run() {
  try {
    const answer = await fetch(root.dataset.evidence, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) throw new Error(await reason(answer));
    await show(root, new Uint8Array(await answer.arrayBuffer()), root.dataset.dispute);
  } catch (error) {
    root.dataset.verdict = "none";
    root.textContent = `The evidence could not be fetched: ${error.message} Nothing has been checked. Try again in a moment.`;
  }
}

async function reason(answer) {
  const told = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : {};
  return `${told.detail ?? `the server answered ${answer.status}`}.`;
}

document.getElementById("again")?.addEventListener("click", run);
run();
