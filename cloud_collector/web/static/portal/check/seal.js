// Hashes, signatures and fingerprints: the browser's own WebCrypto where it may be used, else vendored code.
// WebCrypto is there only in secure contexts (https, localhost, some browsers' file://), and Ed25519 not in every one.

import { WORDS } from "./words.js";
import { etc, verify as verifyPlain } from "../../vendor/noble/ed25519.js";
import { sha256 as sha256Plain, sha512 as sha512Plain } from "../../vendor/noble/sha2.js";

const SPKI = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const subtle = globalThis.crypto?.subtle ?? null;

etc.sha512Sync = (...parts) => sha512Plain(etc.concatBytes(...parts));

let native = null;

/** Which code checks signatures here: "WebCrypto" or "JavaScript". */
export async function engine() {
  if (native === null) {
    native = false;
    if (subtle !== null) {
      try {
        // RFC 8032, section 7.1, test 1: an engine is believed when it verifies that, and refuses its neighbour.
        const key = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        const signature = hex(
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        const made = await subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
        const right = await subtle.verify("Ed25519", made, signature, new Uint8Array(0));
        const wrong = await subtle.verify("Ed25519", made, signature, new Uint8Array(1));
        native = right && !wrong;
      } catch {
        native = false;
      }
    }
  }
  return native ? "WebCrypto" : "JavaScript";
}

/** SHA-256 of some bytes. */
export async function sha256(bytes) {
  return subtle === null ? sha256Plain(bytes) : new Uint8Array(await subtle.digest("SHA-256", bytes));
}

/** A public key that can verify: {raw, id, sha256, words, verifies}. */
export async function publicKey(raw) {
  const digest = await sha256(raw);
  const name = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const made = (await engine()) === "WebCrypto" ? await subtle.importKey("raw", raw, "Ed25519", false, ["verify"]) : null;
  return {
    raw,
    id: name.slice(0, 16),
    sha256: name,
    words: [...digest.subarray(0, 8)].map((byte) => WORDS[byte]).join("-"),
    async verifies(message, signature) {
      if (made !== null) return subtle.verify("Ed25519", made, signature, message);
      try {
        return verifyPlain(signature, message, raw, { zip215: false });
      } catch {
        return false;
      }
    },
  };
}

/** The raw key of a PEM text; throws where it holds no Ed25519 public key. */
export function fromPem(text) {
  const found = /^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=]+)\n-----END PUBLIC KEY-----\n$/.exec(text);
  const der = found === null ? [] : bytesOf(atob(found[1]));
  if (der.length !== 44 || SPKI.some((byte, at) => der[at] !== byte)) throw new Error("no Ed25519 public key");
  return der.subarray(12);
}

/** A raw key as PEM. */
export function pemOf(raw) {
  return `-----BEGIN PUBLIC KEY-----\n${btoa(String.fromCharCode(...SPKI, ...raw))}\n-----END PUBLIC KEY-----\n`;
}

/** Base64url without padding to bytes. */
export function fromText(text) {
  return bytesOf(atob(text.replaceAll("-", "+").replaceAll("_", "/").padEnd(Math.ceil(text.length / 4) * 4, "=")));
}

/** Bytes to base64url without padding. */
export function toText(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The hash that names a whole line. */
export async function hashOf(line) {
  return toText(await sha256(line));
}

function bytesOf(binary) {
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function hex(text) {
  return Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
}
