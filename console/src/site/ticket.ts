/** What a page can tell of a peer ticket before it asks the site, whose rules are more. */

export type TicketFault = "scheme" | "path" | "check";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** The length of the check at the end of a ticket, in bytes. */
const CHECK = 3;

/**
 * What is wrong with the URI of a peer ticket. A ticket as JSON, and a page whose browser computes no hash because the
 * page came unencrypted, leave it to the site.
 */
export async function faultOf(ticket: string): Promise<TicketFault | undefined> {
  const uri = ticket.replaceAll(/\s/g, "");
  if (uri.startsWith("{")) return undefined;
  if (!/^countersign:\/\//i.test(uri)) return "scheme";
  const [, body] = /^countersign:\/\/[^/]+\/p[#/](.*)$/i.exec(uri) ?? [];
  if (body === undefined) return "path";
  const bytes = decoded(body.toUpperCase());
  if (!bytes || bytes.length <= CHECK) return "check";
  const { subtle } = crypto as { subtle?: SubtleCrypto };
  if (!subtle) return undefined;
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes.slice(0, -CHECK)));
  return bytes.slice(-CHECK).every((byte, at) => byte === digest[at]) ? undefined : "check";
}

/** The bytes of base32 without padding (RFC 4648). */
function decoded(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return undefined;
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  // What is left is shorter than a character, and zero.
  return bits < 5 && held === 0 ? bytes : undefined;
}
