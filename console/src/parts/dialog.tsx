import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { heldFocus } from "../app/focus";
import { useCorner } from "../app/notices";

/**
 * A dialog over the screen. Escape closes it, and the focus goes back to where it was. A dialog without fields begins
 * with its heading, and one whose title changes has other content: its heading gets the focus then.
 */
export function Dialog({
  title,
  close,
  children,
  wide = false,
  stays = false,
}: {
  title: string;
  close: () => void;
  children: ComponentChildren;
  wide?: boolean;
  /** Escape does not close it: it shows what is shown once. */
  stays?: boolean;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const shown = useRef(title);
  const corner = useCorner();
  useEffect(() => {
    const giveBack = heldFocus();
    const dialog = element.current;
    dialog?.showModal();
    const first = ["input, select, textarea", "form button", "h2"].map((kind) => dialog?.querySelector(kind));
    (first.find(Boolean) as HTMLElement | undefined)?.focus();
    return () => {
      dialog?.close();
      giveBack();
    };
  }, []);
  useEffect(() => {
    if (shown.current === title) return;
    shown.current = title;
    element.current?.querySelector("h2")?.focus();
  }, [title]);
  // Without this the second Escape closes the dialog even if its `cancel` was prevented.
  useEffect(() => {
    if (!stays) return undefined;
    const ignore = (event: KeyboardEvent): void => {
      if (event.key === "Escape") event.preventDefault();
    };
    addEventListener("keydown", ignore, { capture: true });
    return () => removeEventListener("keydown", ignore, { capture: true });
  }, [stays]);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        if (!stays) close();
      }}
    >
      <div class="inside">
        <h2 id={heading} tabIndex={-1}>
          {title}
        </h2>
        {children}
      </div>
      {corner}
    </dialog>
  );
}
