/** The full name of an account: its name at the site, `@`, and the zone of the site. */

export const zoneOf = (full: string): string => full.slice(full.lastIndexOf("@") + 1);

/** Whether a typed name is that of the account `own`, with or without its zone. */
export function isOwnName(typed: string, own: string): boolean {
  const name = typed.trim().toLowerCase();
  return name === own || name === own.slice(0, own.lastIndexOf("@"));
}
