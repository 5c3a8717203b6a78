import { useEffect, useRef, useState } from "preact/hooks";
import { leave, useArrival, type Arrival } from "../../app/arrival";
import { asRefusal, useDoing } from "../../app/queries";
import { go, to } from "../../app/router";
import { Button } from "../../parts/button";
import { Form, Input } from "../../parts/form";
import { Marked } from "../../parts/marked";
import { NewPassPhraseFields, checkNewPassPhrase } from "../../parts/new-pass-phrase";
import { LOCAL, Refusal, mistake } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { Outside, takesTickets, type OutsideProps } from "./outside";

/**
 * What became of the registration. It is `unknown` after the connection broke while the site answered. A ticket that
 * was used takes no second registration, so what was or may have been set is logged in with first.
 */
type State = "open" | "unknown" | "set";

/** Sets a pass phrase with a ticket: that of the first admin, or one from an admin. */
export function UseTicket({ site, about, look, notice, done }: OutsideProps) {
  const text = useText();
  const [ticket, setTicket] = useState("");
  const [id, setId] = useState("");
  const [passPhrase, setPassPhrase] = useState({ first: "", again: "" });
  const [state, setState] = useState<State>("open");
  const doing = useDoing();
  /** The link that was opened last. It may be opened while the ticket of an earlier one is used. */
  const last = useRef<Arrival>(undefined);
  // Another ticket: what became of an earlier one does not matter any more.
  const begin = (another: string): void => {
    setTicket(another);
    setPassPhrase({ first: "", again: "" });
    setState("open");
  };
  const form = useRef<HTMLDivElement>(null);
  // What the link brings need not be typed.
  const focus = (): void => {
    form.current?.querySelector<HTMLElement>(last.current ? "input" : "textarea")?.focus();
  };
  useArrival(["ticket"], (arrival) => {
    last.current = arrival;
    begin(arrival.ticket);
    focus();
  });
  useEffect(focus, []);
  /** On a relay the site's HTTP listener may be away although its session port is there. */
  const register = async (): Promise<void> => {
    try {
      await site.registerPassPhrase(ticket.trim(), id.trim(), passPhrase.first);
    } catch (error) {
      const failure = asRefusal(error);
      if (failure.code === "refused") throw new Refusal(LOCAL, text.useTicket.refused);
      const http = about.relay?.http;
      if (!http || failure.code !== "unreachable") throw failure;
      throw new Refusal(LOCAL, text.useTicket.httpAway(http), text.useTicket.httpHint);
    }
  };
  const enter = async (): Promise<void> => {
    const link = last.current;
    let known = state;
    const learn = (now: State): void => {
      known = now;
      // The form may be for another ticket by now.
      if (last.current === link) setState(now);
    };
    try {
      await use(() => known, learn);
    } catch (error) {
      if (last.current === link) throw error;
      throw new Refusal(LOCAL, known === "set" ? text.useTicket.earlierSet : text.useTicket.earlierFailed);
    }
    // The console says that the ticket was not used.
    if (last.current && last.current !== link) leave(last.current);
    go();
    await done();
  };
  const use = async (known: () => State, learn: (now: State) => void): Promise<void> => {
    if (known() === "open") {
      await register().then(
        () => learn("set"),
        (error: unknown) => {
          if (asRefusal(error).code !== "broken") throw error;
          learn("unknown");
        },
      );
    }
    try {
      await site.login(id.trim(), passPhrase.first);
    } catch (error) {
      if (known() !== "unknown" || asRefusal(error).code !== "not_authenticated") throw error;
      learn("open");
      throw new Refusal(LOCAL, text.useTicket.notSet);
    }
  };
  const isOpen = state === "open";
  return (
    <Outside
      site={site}
      notice={notice}
      about={about}
      look={look}
      title={text.useTicket.title}
      purpose={text.useTicket.about}
      failure={doing.failure}
      other={
        <p>
          <a href={to()}>{text.useTicket.back}</a>{" "}
          {isOpen ? null : (
            <Button
              look="link"
              off={doing.busy}
              onClick={() => {
                doing.clear();
                begin("");
              }}
            >
              {text.useTicket.another}
            </Button>
          )}
        </p>
      }
    >
      {takesTickets(about) ? (
        <div ref={form}>
          <Form
            doing={doing}
            button={isOpen ? text.useTicket.button : text.login.button}
            busy={isOpen ? text.useTicket.busy : text.login.busy}
            send={async () => {
              if (!ticket.trim()) throw mistake(text.useTicket.ticketMissing, "ticket");
              if (!id.trim()) throw mistake(text.login.nameMissing, "name");
              checkNewPassPhrase(passPhrase, text);
              await enter();
            }}
          >
            {isOpen ? (
              <>
                <Input
                  label={text.useTicket.ticket}
                  field="ticket"
                  help={text.useTicket.ticketHelp}
                  lines={3}
                  mono
                  value={ticket}
                  set={setTicket}
                  placeholder="countersign://…"
                />
                <Input
                  label={text.login.name}
                  field="name"
                  help={text.useTicket.idHelp}
                  value={id}
                  set={setId}
                  autocomplete="username"
                />
                <NewPassPhraseFields value={passPhrase} set={setPassPhrase} />
              </>
            ) : (
              <p class={state === "set" ? "note good" : "note warn"} role="status">
                {state === "set" ? text.useTicket.isSet : text.useTicket.unknown}
              </p>
            )}
          </Form>
        </div>
      ) : (
        <p class="note warn">
          <Marked>{text.useTicket.notHere}</Marked>
        </p>
      )}
    </Outside>
  );
}
