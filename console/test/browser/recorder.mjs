// A proxy between the browser and the HTTP listener of a site: it records all bytes, and can cut all connections.
import { once } from "node:events";
import net from "node:net";

/** Starts the proxy. `recorded` is called with all bytes that the browser sends. Port 0 takes a free port. */
export async function record(listener, recorded = () => {}, ownPort = 0) {
  const [host, port] = [listener.slice(0, listener.lastIndexOf(":")), listener.split(":").at(-1)];
  const sockets = new Set();
  let cut = false;
  let passes = async () => true;
  let release = () => {};
  const server = net.createServer((browser) => {
    if (cut) {
      browser.destroy();
      return;
    }
    const site = net.connect(Number(port), host);
    for (const end of [browser, site]) {
      sockets.add(end);
      // As both ends of a direct connection do. Otherwise a small piece waits up to 40 ms for an acknowledgement.
      end.setNoDelay(true);
      end.on("error", () => {});
      end.on("close", () => sockets.delete(end));
    }
    // The other direction ends in `pass`, after the last bytes.
    browser.on("close", () => site.destroy());
    browser.on("data", recorded);
    browser.pipe(site);
    pass(site, browser);
  });
  /** Passes the site's bytes on to the browser. */
  async function pass(site, browser) {
    try {
      for await (const bytes of site) {
        if (!(await passes())) interrupt();
        if (browser.destroyed) return;
        if (!browser.write(bytes)) await Promise.race([once(browser, "drain"), once(browser, "close")]);
      }
      browser.end();
    } catch {
      browser.destroy();
    }
  }
  server.listen(ownPort, "127.0.0.1");
  await once(server, "listening");
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  const interrupt = () => {
    cut = true;
    destroyAll();
  };
  return {
    url: `http://127.0.0.1:${server.address().port}/console/`,
    port: server.address().port,
    /** Cuts all connections, and closes new ones until `restore`. */
    interrupt,
    /** Interrupts instead of passing an answer of the site on, once `is` the case. */
    interruptOnce(is) {
      passes = async () => !(await is());
    },
    /** Keeps what the site sends until `restore`. */
    hold() {
      const released = new Promise((resolve) => (release = resolve));
      passes = () => released.then(() => true);
    },
    restore() {
      cut = false;
      passes = async () => true;
      release();
    },
    async stop() {
      destroyAll();
      server.close();
      await once(server, "close");
    },
  };
}
