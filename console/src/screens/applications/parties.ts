import type { Text } from "../../text/catalogue";

/** An entry of `may_call`: an application, or a group of them. */
export type Party = { app: string } | { group: string };

function isParty(value: unknown): value is Party {
  return typeof value === "object" && value !== null && ("app" in value || "group" in value);
}

/** The entries of `may_call` in words. */
export const parties = (of: readonly unknown[], text: Text): string[] =>
  of.filter(isParty).map((party) => ("app" in party ? party.app : text.applications.group(party.group)));

/** Reads `ledger, group:finance` as entries of `may_call`. */
export const read = (typed: string): Party[] =>
  typed
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((word) => (word.startsWith("group:") ? { group: word.slice("group:".length) } : { app: word }));

/** Writes entries as `read` reads them. */
export const write = (of: readonly unknown[]): string =>
  of
    .filter(isParty)
    .map((party) => ("app" in party ? party.app : `group:${party.group}`))
    .join(", ");

export const words = (typed: string): string[] => typed.split(/[\s,]+/).filter(Boolean);
