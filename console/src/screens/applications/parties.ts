import type { Result } from "../../site/contract";
import type { Text } from "../../text/catalogue";

type Edition = Result<"app.show">["edition"];

/** An entry of `may_call`: an application, a group of them, or an application of a peer. */
export type Party = Result<"app.show">["may_call"][number];

const GROUP = "group:";

/** An entry as it is typed: `ledger`, `group:finance`, `ledger@example.org`. */
const typed = (party: Party): string =>
  "app" in party ? party.app : "group" in party ? GROUP + party.group : party.foreign;

/** The entries of `may_call` in words. */
export const parties = (of: readonly Party[], text: Text): string[] =>
  of.map((party) => ("group" in party ? text.applications.group(party.group) : typed(party)));

/** Reads `ledger, group:finance` as entries of `may_call`. In the edition v1 an id of this site may have an `@`. */
export const read = (list: string, edition: Edition): Party[] =>
  words(list).map((word) =>
    word.startsWith(GROUP)
      ? { group: word.slice(GROUP.length) }
      : word.includes("@") && edition === "v2"
        ? { foreign: word }
        : { app: word },
  );

/** Writes entries as `read` reads them. */
export const write = (of: readonly Party[]): string => of.map(typed).join(", ");

/** The words of a list. */
export const words = (list: string): string[] => list.split(/[\s,]+/).filter(Boolean);

/** What a typed list adds to the one before, and what it leaves out. Entries that stay are not granted anew. */
export function difference(before: string, after: string): { added: string; removed: string } {
  const [old, now] = [words(before), words(after)];
  return {
    added: now.filter((word) => !old.includes(word)).join(", "),
    removed: old.filter((word) => !now.includes(word)).join(", "),
  };
}
