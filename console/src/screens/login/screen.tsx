import { useEffect, useRef, useState } from "preact/hooks";
import { useArrival } from "../../app/arrival";
import { useDoing } from "../../app/queries";
import { to } from "../../app/router";
import { Brand } from "../../parts/brand";
import { Form, Input } from "../../parts/form";
import { Languages } from "../../parts/languages";
import { Marked } from "../../parts/marked";
import { mistake, type Site } from "../../site/contract";
import { isRelay } from "../../site/relay";
import { useText } from "../../text/catalogue";
import { RememberedKey } from "./remembered-key";

interface Props {
  site: Site;
  /** Why a session ended, or why the site accepts no login. */
  notice: string | undefined;
  done: () => Promise<void>;
}

/** Names by which a browser reaches this machine. */
const isHere = (host: string): boolean =>
  ["127.0.0.1", "[::1]", "localhost"].includes(host) || host.endsWith(".localhost");

/** Logs in. The client stretches the pass phrase in a worker, so the page stays responsive. */
export function Login({ site, notice, done }: Props) {
  const text = useText();
  const [name, setName] = useState("");
  const [passPhrase, setPassPhrase] = useState("");
  const doing = useDoing();
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => {
    document.title = `${text.login.title} · Countersign`;
  }, [text]);
  useEffect(() => form.current?.querySelector("input")?.focus(), []);
  // The link of `countersign dev` logs in by itself. Any other page can make such a link, so everywhere else it fills
  // in no more than the name: a person must not work in an account of an attacker.
  useArrival(["login"], (arrival) => {
    setName(arrival.name);
    if (!arrival.passPhrase || !isHere(location.hostname)) return;
    void site.isTemporary().then(
      (temporary) => temporary && void doing.run(() => enter(arrival.name, arrival.passPhrase)),
      () => {},
    );
  });
  const enter = async (as: string, typed: string): Promise<void> => {
    await site.login(as.trim(), typed);
    await done();
  };
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
          <h1>{text.login.title}</h1>
          <p class="soft">{text.login.about}</p>
        </div>
        <div ref={form}>
          <Form
            doing={doing}
            button={doing.busy ? text.login.busy : text.login.button}
            send={async () => {
              if (!name.trim()) throw mistake(text.login.nameMissing, "name");
              if (!passPhrase) throw mistake(text.login.passPhraseMissing, "passphrase");
              await enter(name, passPhrase);
            }}
          >
            <Input label={text.login.name} field="name" value={name} set={setName} autocomplete="username" />
            <Input
              label={text.login.passPhrase}
              field="passphrase"
              type="password"
              value={passPhrase}
              set={setPassPhrase}
              autocomplete="current-password"
            />
          </Form>
          <RememberedKey site={site} failure={doing.failure} />
        </div>
        {isRelay() ? (
          <p class="soft">
            <Marked>{text.login.ticketElsewhere}</Marked>
          </p>
        ) : (
          <p>
            <a href={to("ticket")}>{text.login.haveTicket}</a>
          </p>
        )}
      </main>
      <Languages />
    </div>
  );
}
