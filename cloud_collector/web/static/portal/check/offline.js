// From file://, without a network: checks the bundle inside this very file, or one that is chosen or dropped here.

import { show } from "./screen.js";

const root = document.getElementById("check");
const inside = document.getElementById("bundle");

async function run(file) {
  await show(root, new Uint8Array(await file.arrayBuffer()));
}

document.getElementById("file").addEventListener("change", (event) => {
  if (event.target.files.length > 0) run(event.target.files[0]);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length > 0) run(event.dataTransfer.files[0]);
});
if (inside !== null) {
  show(root, Uint8Array.from(atob(inside.textContent.trim()), (char) => char.charCodeAt(0)));
}
