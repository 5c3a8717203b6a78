import { useEffect, useRef, useState } from "preact/hooks";
import { useArrival } from "../../app/arrival";
import { useDoing } from "../../app/queries";
import { to } from "../../app/router";
import { Form, Input } from "../../parts/form";
import { Marked } from "../../parts/marked";
import { mistake } from "../../site/contract";
import { isThisMachine } from "../../site/this-machine";
import { useText } from "../../text/catalogue";
import { Outside, takesTickets, type OutsideProps } from "./outside";

/** Logs in. The client stretches the pass phrase in a worker, so the page stays responsive. */
export function Login({ site, about, look, notice, done }: OutsideProps) {
  const text = useText();
  const [name, setName] = useState("");
  const [passPhrase, setPassPhrase] = useState("");
  const doing = useDoing();
  const form = useRef<HTMLDivElement>(null);
  useEffect(() => form.current?.querySelector("input")?.focus(), []);
  // The link of `countersign dev` logs in by itself. Any other page can make such a link, so everywhere else it fills
  // in no more than the name: a person must not work in an account of an attacker.
  useArrival(["login"], (arrival) => {
    setName(arrival.name);
    if (arrival.passPhrase && about.dev && isThisMachine(location.hostname))
      void doing.run(() => enter(arrival.name, arrival.passPhrase));
  });
  const enter = async (as: string, typed: string): Promise<void> => {
    await site.login(as.trim(), typed);
    await done();
  };
  return (
    <Outside
      site={site}
      notice={notice}
      about={about}
      look={look}
      title={text.login.title}
      purpose={text.login.about}
      failure={doing.failure}
      other={
        takesTickets(about) ? (
          <p>
            <a href={to("ticket")}>{text.login.haveTicket}</a>
          </p>
        ) : (
          <p class="soft">
            <Marked>{text.useTicket.notHere}</Marked>
          </p>
        )
      }
    >
      <div ref={form}>
        <Form
          doing={doing}
          button={text.login.button}
          busy={text.login.busy}
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
      </div>
    </Outside>
  );
}
