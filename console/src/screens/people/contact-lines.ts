/** Contact data as it is typed, one line for each entry, and what of it was changed. */
import { mistake } from "../../site/contract";
import type { Text } from "../../text/catalogue";
import type { Contact } from "./contact-card";

/** What the operations `set_data` take: only what was changed, of the account as it was read. */
export interface Changed {
  if_match?: string;
  emails?: string[];
  telephones?: { label: string; number: string }[];
  postal_address?: {
    lines: string[];
    postal_code?: string;
    city?: string;
    region?: string;
    country?: string;
  } | null;
  language?: string | null;
  attributes?: Record<string, string | null>;
}

/** The fields of the address, each with its parameter. */
export const ADDRESS = ["lines", "postal_code", "city", "region", "country"] as const;
export type Key = "emails" | "telephones" | (typeof ADDRESS)[number] | "language" | "attributes";
export type Typed = Record<Key, string>;

const lines = (typed: string): string[] =>
  typed
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** Stands for a line break within an attribute, which has one line. */
const BREAK = "⏎";

/** The lines of contact data. */
export function written(data: Contact, attributes: Record<string, unknown> = {}): Typed {
  const address = data.postal_address;
  return {
    emails: (data.emails ?? []).join("\n"),
    telephones: (data.telephones ?? [])
      .map(({ label, number }) => (label ? `${label}: ${number}` : number))
      .join("\n"),
    lines: (address?.lines ?? []).join("\n"),
    postal_code: address?.postal_code ?? "",
    city: address?.city ?? "",
    region: address?.region ?? "",
    country: address?.country ?? "",
    language: data.language ?? "",
    attributes: Object.entries(attributes)
      .map(([key, value]) => `${key}: ${String(value).replaceAll("\n", BREAK)}`)
      .join("\n"),
  };
}

/** What was changed. A line that cannot be sent is a mistake. */
export function changes(start: Typed, typed: Typed, text: Pick<Text, "contact">): Changed {
  const changed: Changed = {};
  if (typed.emails !== start.emails) changed.emails = lines(typed.emails);
  if (typed.telephones !== start.telephones) {
    changed.telephones = lines(typed.telephones).map((line) => {
      // A label may have a colon, a number has none.
      const colon = line.lastIndexOf(":");
      const label = line.slice(0, Math.max(colon, 0)).trim();
      if (!label) throw mistake(text.contact.telephoneWrong(line), "telephones");
      return { label, number: line.slice(colon + 1).trim() };
    });
  }
  if (ADDRESS.some((key) => typed[key] !== start[key])) {
    const { postal_code, city, region, country } = typed;
    const rest = Object.entries({ postal_code, city, region, country });
    changed.postal_address = ADDRESS.every((key) => !typed[key].trim())
      ? null
      : { lines: lines(typed.lines), ...Object.fromEntries(rest.filter(([, value]) => value.trim())) };
  }
  if (typed.language !== start.language) changed.language = typed.language.trim() || null;
  if (typed.attributes !== start.attributes) {
    const pairs = (value: string): Map<string, string> => {
      const found = new Map<string, string>();
      for (const line of lines(value)) {
        const at = line.indexOf(":");
        if (at < 1) throw mistake(text.contact.attributeWrong(line), "attributes");
        const name = line.slice(0, at).trim();
        if (found.has(name)) throw mistake(text.contact.attributeTwice(name), "attributes");
        const attribute = line.slice(at + 1).trim();
        found.set(name, attribute.replaceAll(BREAK, "\n"));
      }
      return found;
    };
    const [old, now] = [pairs(start.attributes), pairs(typed.attributes)];
    changed.attributes = {};
    for (const [key, value] of now) if (old.get(key) !== value) changed.attributes[key] = value;
    for (const key of old.keys()) if (!now.has(key)) changed.attributes[key] = null;
  }
  return changed;
}
