// Keeps other pages away from the servers of this folder. Any page in the browser can send requests to a port of this
// machine, and any DNS name can point to it (DNS rebinding).

/** Names by which a browser on this machine reaches the server. */
const NAMES = ["127.0.0.1", "localhost"];

/**
 * Whether a request is for this server by one of its own names, and from a page of its own. Browsers tell the origin
 * with every POST and with every WebSocket; there `mustTell` refuses a request without it.
 */
export function isOwn({ headers }, port, mustTell = false) {
  const { host, origin } = headers;
  if (!NAMES.some((name) => host === `${name}:${port}`)) return false;
  return origin === undefined ? !mustTell : origin === `http://${host}`;
}
