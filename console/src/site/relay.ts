/**
 * Whether `countersign console` serves this page, at a name below `localhost`. It relays sessions only: a ticket is
 * used at the site's own console, or on the command line.
 */
export const isRelay = (): boolean => location.hostname.endsWith(".localhost");
