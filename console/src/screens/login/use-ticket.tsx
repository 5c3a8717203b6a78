import { useState } from "preact/hooks";
import { useArrival } from "../../app/arrival";
import { asRefusal, useDoing } from "../../app/queries";
import { go, to } from "../../app/router";
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
export function UseTicket({ site, about, notice, done }: OutsideProps) {
  const text = useText();
  const [ticket, setTicket] = useState("");
  const [id, setId] = useState("");
  const [passPhrase, setPassPhrase] = useState({ first: "", again: "" });
  const [state, setState] = useState<State>("open");
  const doing = useDoing();
  // Another ticket: what became of an earlier one does not matter any more.
  useArrival(["ticket"], (arrival) => {
    setTicket(arrival.ticket);
    setPassPhrase({ first: "", again: "" });
    setState("open");
  });
  /** On a relay the site's HTTP listener may be away although its session port is there. */
  const register = async (): Promise<void> => {
    try {
      await site.registerPassPhrase(ticket.trim(), id.trim(), passPhrase.first);
    } catch (error) {
      const failure = asRefusal(error);
      const http = about.relay?.http;
      if (!http || failure.code !== "unreachable") throw failure;
      throw new Refusal(LOCAL, text.useTicket.httpAway(http), text.useTicket.httpHint);
    }
  };
  const enter = async (): Promise<void> => {
    let known = state;
    const learn = (now: State): void => setState((known = now));
    if (known === "open") {
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
      if (known !== "unknown" || asRefusal(error).code !== "not_authenticated") throw error;
      learn("open");
      throw new Refusal(LOCAL, text.useTicket.notSet);
    }
    go();
    await done();
  };
  const isOpen = state === "open";
  return (
    <Outside
      site={site}
      notice={notice}
      about={about}
      title={text.useTicket.title}
      purpose={text.useTicket.about}
      failure={doing.failure}
      other={
        <p>
          <a href={to()}>{text.useTicket.back}</a>
        </p>
      }
    >
      {takesTickets(about) ? (
        <Form
          doing={doing}
          button={isOpen ? text.useTicket.button : text.login.button}
          busy={isOpen ? text.useTicket.busy : text.login.busy}
          send={async () => {
            if (!ticket.trim()) throw mistake(text.useTicket.ticketMissing, "ticket");
            if (!id.trim()) throw mistake(text.login.nameMissing, "id");
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
                field="id"
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
      ) : (
        <p class="note warn">
          <Marked>{text.useTicket.notHere}</Marked>
        </p>
      )}
    </Outside>
  );
}
