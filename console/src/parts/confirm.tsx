import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { isStale, useDoing } from "../app/queries";
import { mistake } from "../site/contract";
import { useText } from "../text/catalogue";
import { Button, type Look } from "./button";
import { Dialog } from "./dialog";
import { Form, Input } from "./form";

/** The field of the typed name, which is no parameter. */
const TYPED = "typed name";

interface Props {
  /** The words on the button, and on the button of the dialog. */
  children: string;
  /** The name of what the action is for. The user types it if `typed`; without a name nothing can be confirmed. */
  target: string;
  /** The name of the row in a list whose rows can have one `target`. The dialog shows it. */
  row?: string;
  title: string;
  /** What the action does, before it is done. */
  explanation: ComponentChildren;
  /**
   * The user has to type the name: for what takes something from another and cannot be undone. What the user can undo,
   * and what takes from no other, needs a plain question.
   */
  typed?: boolean;
  /** The dialog asks for a reason. */
  reasoned?: boolean;
  look?: Look;
  /** The entity tag of what the action is for. The action gets the one that was shown when the dialog was opened. */
  etag?: string | undefined;
  /** Reads it again. Called when the dialog closes after the site refused another entity tag. */
  reload?: () => void;
  act: (reason: string, etag: string | undefined) => Promise<unknown>;
  done?: () => void;
  /** Further fields of the dialog. */
  fields?: ComponentChildren;
}

/** A button whose action first explains itself and asks. */
export function Confirm({
  children,
  target,
  row = target,
  title,
  explanation,
  typed = true,
  reasoned = false,
  look = "danger",
  etag,
  reload,
  act,
  done,
  fields,
}: Props) {
  const text = useText();
  const [open, setOpen] = useState<{ etag: string | undefined }>();
  const [name, setName] = useState("");
  const [reason, setReason] = useState("");
  const doing = useDoing();
  const close = (): void => {
    if (isStale(doing.failure)) reload?.();
    setOpen(undefined);
    setName("");
    setReason("");
    doing.leave();
  };
  return (
    <>
      <Button
        look={look}
        name={`${children} ${row}`}
        off={typed && !target}
        onClick={() => setOpen({ etag })}
      >
        {children}
      </Button>
      {open ? (
        <Dialog title={title} close={close}>
          {row === target ? null : (
            <p>
              <strong>{row}</strong>
            </p>
          )}
          <div>{explanation}</div>
          <Form
            doing={doing}
            button={children}
            look="danger main"
            cancel={close}
            send={async () => {
              if (typed && name.trim() !== target) throw mistake(text.common.nameDiffers(target), TYPED);
              await act(reason, open.etag);
            }}
            done={() => {
              close();
              done?.();
            }}
          >
            {fields}
            {reasoned ? (
              <Input label={text.lockdown.reason} field="reason" value={reason} set={setReason} />
            ) : null}
            {typed ? (
              <Input label={text.common.typeName(target)} field={TYPED} value={name} set={setName} />
            ) : null}
          </Form>
        </Dialog>
      ) : null}
    </>
  );
}
