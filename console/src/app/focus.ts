/**
 * Keeps the keyboard's place. A change often removes the button that made it: the focus then goes to what is
 * left of the row or the card, and not to the top of the page.
 */
import { useEffect } from "preact/hooks";
import type { RefObject } from "preact";

const REACHED = "a[href], button, input, select, textarea";

/** The row, the card and the like that an element is in, the nearest first. */
function around(element: Element): Element[] {
  const parts: Element[] = [];
  for (let part = element.parentElement; part; part = part.parentElement)
    if (part.matches("tr, li, section, .head")) parts.push(part);
  return parts;
}

function focusLeft(parts: readonly Element[]): void {
  const left = parts.find((part) => part.isConnected)?.querySelector<HTMLElement>(REACHED);
  (left ?? document.querySelector<HTMLElement>("main h1"))?.focus();
}

/** Returns the function that gives the focus back to what has it now, or to what is left around that. */
export function heldFocus(): () => void {
  const before = document.activeElement;
  const parts = before ? around(before) : [];
  return () => {
    if (before?.isConnected) (before as HTMLElement).focus();
    else focusLeft(parts);
  };
}

export function useKeptFocus(area: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const root = area.current;
    if (!root) return undefined;
    let last: Element | undefined;
    let parts: Element[] = [];
    const focused = (event: FocusEvent): void => {
      if (!(event.target instanceof Element)) return;
      last = event.target;
      parts = around(last);
    };
    const observer = new MutationObserver(() => {
      if (!last || last.isConnected || document.activeElement !== document.body) return;
      last = undefined;
      focusLeft(parts);
    });
    root.addEventListener("focusin", focused);
    observer.observe(root, { childList: true, subtree: true });
    return () => {
      root.removeEventListener("focusin", focused);
      observer.disconnect();
    };
  }, [area]);
}
