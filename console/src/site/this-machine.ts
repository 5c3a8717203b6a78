/** Whether a browser reaches its own machine by this host name. */
export const isThisMachine = (host: string): boolean =>
  ["127.0.0.1", "[::1]", "localhost"].includes(host) || host.endsWith(".localhost");

/**
 * Whether a link can be opened on any device. Another device would give the ticket in a link of this machine to what
 * listens there.
 */
export const opensAnywhere = (link: string): boolean => !isThisMachine(new URL(link).hostname);
