/**
 * A screen shows its heading at once, and the rest when everything on it was read, so that nothing moves under the
 * pointer. If that takes long enough to notice, it shows what there is, with words for what is still being read. What
 * needs no data is there from the beginning.
 */
import { useLayoutEffect, useState } from "preact/hooks";
import type { RefObject } from "preact";

/** How long a screen waits for what it reads, in milliseconds. */
const PATIENCE = 500;

/** Whether the screen in `area` shows everything. `key` is that of the screen. */
export function useSettled(area: RefObject<HTMLElement | null>, key: string): boolean {
  const [settled, settle] = useState("");
  useLayoutEffect(() => {
    const root = area.current;
    if (!root) return undefined;
    const look = (): void => {
      if (!root.querySelector(".waiting")) settle(key);
    };
    look();
    const observer = new MutationObserver(look);
    observer.observe(root, { childList: true, subtree: true });
    const timer = setTimeout(() => settle(key), PATIENCE);
    return () => {
      observer.disconnect();
      clearTimeout(timer);
    };
  }, [area, key]);
  return settled === key;
}
