/** Questions before an action. One is open at a time, at the level of its screen. */
import { createContext, type ComponentChildren } from "preact";
import { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { useConsole } from "../app/context";
import { isStale, useDoing } from "../app/queries";
import { mistake } from "../site/contract";
import { useText } from "../text/catalogue";
import { Button, wordsOf, type Look, type Said } from "./button";
import { Dialog } from "./dialog";
import { Form, Input } from "./form";

/** The field of the typed name, which is no parameter. */
export const TYPED = "typed name";

interface Question {
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
  /** The entity tag of what the action is for. The action gets the one that was shown when the dialog was opened. */
  etag?: string | undefined;
  /** Reads it again. Called when the dialog closes after the site refused another entity tag. */
  reload?: () => void;
  /** Carries it out. Returns what is said then. */
  act: (reason: string, etag: string | undefined) => Promise<string>;
  done?: (() => void) | undefined;
  /** Further fields of the dialog. */
  fields?: ComponentChildren;
}

interface Props<T> extends Omit<Question, "act"> {
  look?: Look;
  act: (reason: string, etag: string | undefined) => Promise<T>;
  /** What is said when it is done. */
  said: Said<T>;
}

interface Asked {
  /** The button that asks. */
  by: object;
  question: Question;
  etag: string | undefined;
  /** The button is gone: the page does not show its object, or not in that state. */
  gone: boolean;
}

interface Host {
  ask: (by: object, question: Question) => void;
  renew: (by: object, question: Question) => void;
  leave: (by: object) => void;
}

const Hosts = createContext<Host | undefined>(undefined);

/** Shows the question of any button in it. The question stays when the row of the button goes, and says so. */
export function Questions({ children }: { children: ComponentChildren }) {
  const [asked, set] = useState<Asked>();
  const host = useMemo<Host>(() => {
    const change = (by: object, to: Partial<Asked>): void =>
      set((now) => (now?.by === by ? { ...now, ...to } : now));
    return {
      ask: (by, question) => set({ by, question, etag: question.etag, gone: false }),
      renew: (by, question) => change(by, { question }),
      leave: (by) => change(by, { gone: true }),
    };
  }, []);
  return (
    <Hosts.Provider value={host}>
      {children}
      {asked ? <Open {...asked} close={() => set(undefined)} /> : null}
    </Hosts.Provider>
  );
}

/** A button whose action first explains itself and asks. */
export function Confirm<T>({ look = "danger", said, act, ...rest }: Props<T>) {
  const host = useContext(Hosts);
  const by = useRef({}).current;
  const question: Question = {
    ...rest,
    act: async (reason, etag) => wordsOf(said, await act(reason, etag)),
  };
  useLayoutEffect(() => host?.renew(by, question));
  useEffect(() => () => host?.leave(by), [host, by]);
  const { children, target, row = target, typed = true } = rest;
  return (
    <Button
      look={look}
      name={`${children} ${row}`}
      off={typed && !target}
      onClick={() => host?.ask(by, question)}
    >
      {children}
    </Button>
  );
}

function Open({ question, etag, gone, close }: Asked & { close: () => void }) {
  const {
    children,
    target,
    row = target,
    title,
    explanation,
    typed = true,
    reasoned = false,
    reload,
    act,
    done,
    fields,
  } = question;
  const text = useText();
  const { say } = useConsole();
  const [name, setName] = useState("");
  const [reason, setReason] = useState("");
  const said = useRef<string>(undefined);
  const doing = useDoing();
  const leave = (): void => {
    if (isStale(doing.failure)) reload?.();
    doing.leave();
    close();
  };
  // The action itself often removes the button.
  const isOver = gone && !doing.busy && !doing.failure && said.current === undefined;
  return (
    <Dialog title={isOver ? text.common.overtaken(children) : title} close={leave}>
      {isOver || row !== target ? (
        <p>
          <strong>{row}</strong>
        </p>
      ) : null}
      {isOver ? (
        <>
          <p role="alert">{text.common.overtakenAbout}</p>
          <div class="buttons">
            <Button look="main" onClick={leave}>
              {text.common.close}
            </Button>
          </div>
        </>
      ) : (
        <>
          <div class="stack">{explanation}</div>
          <Form
            doing={doing}
            button={children}
            look="danger main"
            cancel={leave}
            send={async () => {
              if (typed && name.trim() !== target) throw mistake(text.common.nameDiffers(target), TYPED);
              said.current = await act(reason, etag);
            }}
            done={() => {
              leave();
              say(said.current);
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
        </>
      )}
    </Dialog>
  );
}
