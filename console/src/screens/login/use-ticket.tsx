import { useEffect, useState } from "preact/hooks";
import { useArrival } from "../../app/arrival";
import { useDoing } from "../../app/queries";
import { go, to } from "../../app/router";
import { Brand } from "../../parts/brand";
import { Form, Input } from "../../parts/form";
import { Languages } from "../../parts/languages";
import { Marked } from "../../parts/marked";
import { NewPassPhraseFields, checkNewPassPhrase } from "../../parts/new-pass-phrase";
import { mistake, type Site } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { RememberedKey } from "./remembered-key";

/** Sets a pass phrase with a ticket: that of the first admin, or one from an admin. */
export function UseTicket({
  site,
  notice,
  done,
}: {
  site: Site;
  /** Why the site accepts no login. */
  notice: string | undefined;
  done: () => Promise<void>;
}) {
  const text = useText();
  const [ticket, setTicket] = useState("");
  const [id, setId] = useState("");
  const [passPhrase, setPassPhrase] = useState({ first: "", again: "" });
  const doing = useDoing();
  useEffect(() => {
    document.title = `${text.useTicket.title} · Countersign`;
  }, [text]);
  useArrival(["ticket"], (arrival) => setTicket(arrival.ticket));
  return (
    <div class="alone">
      <main>
        <div class="brand">
          <Brand /> Countersign
        </div>
        {notice ? (
          <p class="note" role="status">
            <Marked>{notice}</Marked>
          </p>
        ) : null}
        <div>
          <h1>{text.useTicket.title}</h1>
          <p class="soft">{text.useTicket.about}</p>
        </div>
        <Form
          doing={doing}
          button={doing.busy ? text.useTicket.busy : text.useTicket.button}
          send={async () => {
            if (!ticket.trim()) throw mistake(text.useTicket.ticketMissing, "ticket");
            if (!id.trim()) throw mistake(text.login.nameMissing, "id");
            checkNewPassPhrase(passPhrase, text);
            await site.registerPassPhrase(ticket.trim(), id.trim(), passPhrase.first);
            await site.login(id.trim(), passPhrase.first);
            go();
            await done();
          }}
        >
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
        </Form>
        <RememberedKey site={site} failure={doing.failure} />
        <p>
          <a href={to()}>{text.useTicket.back}</a>
        </p>
      </main>
      <Languages />
    </div>
  );
}
