import { useEffect, useRef, useState } from "preact/hooks";
import { useDoing } from "../../app/queries";
import { to } from "../../app/router";
import { Brand } from "../../parts/brand";
import { Form, Input } from "../../parts/form";
import { Languages } from "../../parts/languages";
import { Marked } from "../../parts/marked";
import { mistake, type Site } from "../../site/contract";
import { isRelay } from "../../site/relay";
import { useText } from "../../text/catalogue";

interface Props {
  site: Site;
  /** Why a session ended, or why the site accepts no login. */
  notice: string | undefined;
  done: () => Promise<void>;
  /** Name and pass phrase of a throw-away site, from the link that `countersign dev` prints. */
  given?: readonly [name: string, passPhrase: string] | undefined;
}

/** Logs in. The client stretches the pass phrase in a worker, so the page stays responsive. */
export function Login({ site, notice, done, given }: Props) {
  const text = useText();
  const [name, setName] = useState(given?.[0] ?? "");
  const [passPhrase, setPassPhrase] = useState(given?.[1] ?? "");
  const doing = useDoing();
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => {
    document.title = `${text.login.title} · Countersign`;
  }, [text]);
  useEffect(() => {
    form.current?.querySelector("input")?.focus();
    if (!given) return;
    // The link works once: it stays neither in the address nor in the history.
    history.replaceState(null, "", to());
    form.current?.querySelector("form")?.requestSubmit();
  }, []);
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
              await site.login(name.trim(), passPhrase);
              await done();
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
