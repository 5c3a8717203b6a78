/** Ends the session of a console that its user has left alone. The site cannot see that: the console reads on. */
import { useEffect, useRef, useState } from "preact/hooks";

/** After so many milliseconds without input the console logs out. */
export const MAX_IDLE = 15 * 60_000;
/** So many milliseconds before, it says so. */
export const NOTICE = 60_000;

export class Idle {
  constructor(private last: number) {}

  /** There was input. Input after the end has no effect: it can be another person's. */
  input(now: number): void {
    if (this.left(now) > 0) this.last = now;
  }

  /** How many milliseconds are left. */
  left(now: number): number {
    // The clock was set back.
    if (now < this.last) this.last = now;
    return Math.max(0, this.last + MAX_IDLE - now);
  }
}

const INPUT = ["pointerdown", "keydown", "wheel", "touchstart"];

/** Calls `end` after a time without input. Returns whether that is near. */
export function useIdle(end: () => void): boolean {
  const [near, set] = useState(false);
  const ending = useRef(end);
  ending.current = end;
  useEffect(() => {
    const idle = new Idle(Date.now());
    let over = false;
    const look = (): void => {
      const left = idle.left(Date.now());
      set(left <= NOTICE);
      if (left > 0 || over) return;
      over = true;
      ending.current();
    };
    const input = (): void => {
      idle.input(Date.now());
      look();
    };
    // A timer stands still while the machine sleeps, so each look reads the clock.
    const timer = setInterval(look, 1_000);
    document.addEventListener("visibilitychange", look);
    for (const kind of INPUT) addEventListener(kind, input, { capture: true, passive: true });
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
      for (const kind of INPUT) removeEventListener(kind, input, { capture: true });
    };
  }, []);
  return near;
}
