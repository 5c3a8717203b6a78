/**
 * Keeps the keyboard's place. A change often removes the button that made it: the focus then goes to what is
 * left of the row or the card, and not to the top of the page.
 */
import { useEffect } from "preact/hooks";
import type { RefObject } from "preact";

const REACHED = "a[href], button, input, select, textarea";

export function useKeptFocus(area: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const root = area.current;
    if (!root) return undefined;
    let last: Element | undefined;
    let around: Element[] = [];
    const focused = (event: FocusEvent): void => {
      if (!(event.target instanceof Element)) return;
      last = event.target;
      around = [];
      for (let element = last.parentElement; element && element !== root; element = element.parentElement) {
        if (element.matches("tr, li, section, .head")) around.push(element);
      }
    };
    const observer = new MutationObserver(() => {
      if (!last || last.isConnected || document.activeElement !== document.body) return;
      last = undefined;
      const left = around.find((element) => element.isConnected);
      (left?.querySelector<HTMLElement>(REACHED) ?? root.querySelector<HTMLElement>("h1"))?.focus();
    });
    root.addEventListener("focusin", focused);
    observer.observe(root, { childList: true, subtree: true });
    return () => {
      root.removeEventListener("focusin", focused);
      observer.disconnect();
    };
  }, [area]);
}
