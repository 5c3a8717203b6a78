/**
 * What this browser knows of sites: for each pinned key, the newest key event. One origin can serve one site after
 * another, so an entry is that of the key in the site's URI.
 */
const entryOf = (uri: string): string => `countersign-known ${uri.slice(uri.indexOf("#") + 1)}`;

export const recall = (uri: string, storage: Storage = localStorage): string | undefined =>
  storage.getItem(entryOf(uri)) ?? undefined;

export const remember = (uri: string, known: string, storage: Storage = localStorage): void =>
  storage.setItem(entryOf(uri), known);

export const forget = (uri: string, storage: Storage = localStorage): void =>
  storage.removeItem(entryOf(uri));
