/**
 * Runs `read` for events, which can come in a flood: one run at a time, and one more after it if events came
 * meanwhile. After `stop` none begins.
 */
export function coalesced(read: () => Promise<unknown>): { ask: () => void; stop: () => void } {
  let running = false;
  let asked = false;
  let stopped = false;
  const run = (): void => {
    running = true;
    asked = false;
    const done = (): void => {
      running = false;
      if (asked && !stopped) run();
    };
    read().then(done, done);
  };
  return {
    ask: () => {
      if (stopped) return;
      if (running) asked = true;
      else run();
    },
    stop: () => {
      stopped = true;
    },
  };
}
