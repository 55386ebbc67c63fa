// The zip around an evidence bundle, in its one form: stored, in order, without times or comments.
// What any tool opens but is spelled otherwise is refused, so that no byte of it goes unchecked.

const DATE = 0x21;
const VERSION = 20;

let table = null;

/** The CRC-32 of some bytes, as zip files carry it. */
export function crc32(bytes) {
  if (table === null) {
    table = new Uint32Array(256);
    for (let n = 0; n < 256; n += 1) {
      let c = n;
      for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
      table[n] = c >>> 0;
    }
  }
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i += 1) crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The files of a bundle by name; `faults` are sentences about its form. */
export function unpack(raw) {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const files = new Map();
  const faults = [];
  const heads = [];
  let at = 0;
  while (at + 30 <= raw.length && view.getUint32(at, true) === 0x04034b50) {
    const size = view.getUint32(at + 22, true);
    const nameLength = view.getUint16(at + 26, true);
    const from = at + 30 + nameLength;
    if (from + size > raw.length) return { files, faults: ["the file is cut short: download it again"] };
    const name = String.fromCharCode(...raw.subarray(at + 30, from));
    const content = raw.subarray(from, from + size);
    const crc = crc32(content);
    if (view.getUint32(at + 14, true) !== crc) faults.push(`${name} was changed after the file was packed`);
    if (!plainHead(view, at + 4) || view.getUint32(at + 18, true) !== size || view.getUint16(at + 28, true) !== 0) {
      faults.push(`${name} is not stored as a bundle stores it: the file was packed again`);
    }
    if (files.has(name)) faults.push(`${name} stands twice`);
    files.set(name, content);
    heads.push({ name, size, crc, at, shape: raw.subarray(at + 14, at + 30) });
    at = from + size;
  }
  if (files.size === 0) return { files, faults: ["this is no evidence bundle of an invoice"] };
  if (!sameDirectory(raw, view, at, heads)) faults.push("the file's table of contents was changed or rewritten");
  return { files, faults };
}

function plainHead(view, at) {
  const said = [0, 2, 4, 6, 8].map((step) => view.getUint16(at + step, true));
  return said.join() === [VERSION, 0, 0, 0, DATE].join();
}

function sameDirectory(raw, view, start, heads) {
  let at = start;
  for (const head of heads) {
    const end = at + 46 + head.name.length;
    if (end > raw.length || view.getUint32(at, true) !== 0x02014b50) return false;
    const name = String.fromCharCode(...raw.subarray(at + 46, end));
    const shape = raw.subarray(at + 16, at + 32);
    const same =
      name === head.name &&
      view.getUint16(at + 4, true) === ((3 << 8) | VERSION) &&
      plainHead(view, at + 6) &&
      shape.every((byte, place) => byte === head.shape[place]) &&
      view.getUint16(at + 32, true) === 0 &&
      view.getUint32(at + 34, true) === 0 &&
      view.getUint32(at + 38, true) === 0o100644 * 65536 &&
      view.getUint32(at + 42, true) === head.at;
    if (!same) return false;
    at = end;
  }
  return (
    at + 22 === raw.length &&
    view.getUint32(at, true) === 0x06054b50 &&
    view.getUint32(at + 4, true) === 0 &&
    view.getUint16(at + 8, true) === heads.length &&
    view.getUint16(at + 10, true) === heads.length &&
    view.getUint32(at + 12, true) === at - start &&
    view.getUint32(at + 16, true) === start &&
    view.getUint16(at + 20, true) === 0
  );
}
