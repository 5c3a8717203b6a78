import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { useConsole } from "../app/context";
import { useDoing } from "../app/queries";
import { useText } from "../text/catalogue";
import { Dialog } from "./dialog";
import { Form } from "./form";
import { Marked } from "./marked";

interface Props<T> {
  title: string;
  /** What the form does, before it is sent. */
  about?: string | undefined;
  /** The words on the button; "Save" by default. */
  button?: string;
  /** The words on the button while the form is being sent. */
  busy?: string;
  wide?: boolean;
  close: () => void;
  send: () => Promise<T>;
  /** What is said when that succeeded; "Saved." by default. */
  said?: (result: T) => string;
  /** Called after the dialog has closed. */
  done?: (result: T) => void;
  children: ComponentChildren;
}

/** A form in a dialog, which closes when the form was sent. */
export function FormDialog<T>({
  title,
  about,
  button,
  busy,
  wide = false,
  close,
  send,
  said,
  done,
  children,
}: Props<T>) {
  const text = useText();
  const { say } = useConsole();
  const doing = useDoing();
  const result = useRef<T>(undefined);
  const leave = (): void => {
    doing.leave();
    close();
  };
  return (
    <Dialog title={title} close={leave} wide={wide}>
      {about ? (
        <p class="soft">
          <Marked>{about}</Marked>
        </p>
      ) : null}
      <Form
        doing={doing}
        button={button ?? text.common.save}
        {...(busy === undefined ? {} : { busy })}
        cancel={leave}
        send={async () => {
          result.current = await send();
        }}
        done={() => {
          const made = result.current as T;
          close();
          say(said ? said(made) : text.common.saved);
          done?.(made);
        }}
      >
        {children}
      </Form>
    </Dialog>
  );
}
