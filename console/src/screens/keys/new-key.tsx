import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { NewPassPhraseFields, checkNewPassPhrase } from "../../parts/new-pass-phrase";
import { Facts } from "../../parts/page";
import type { Params, Result } from "../../site/contract";
import { mistake } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { SecretFields, secretOf, type Typed } from "./secret-fields";

const ZONE = "zone";

/** Makes the next site key the current one. */
export function NewKey({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site, status } = useConsole();
  const [secret, setSecret] = useState<Typed>({ kind: "recovery_code", value: "" });
  const [passPhrase, setPassPhrase] = useState({ first: "", again: "" });
  const [since, setSince] = useState("");
  const [zone, setZone] = useState("");
  const [made, setMade] = useState<Result<"site.key_new">>();
  const doing = useDoing();
  const own = status?.zone ?? "";
  return (
    <Dialog title={text.keys.newKey} close={close} wide>
      {made ? (
        <>
          <p class="note good">{text.keys.made(made.event)}</p>
          <Facts
            facts={[
              [text.keys.siteKey, <code>{made.site_key}</code>],
              [text.keys.lost, [...made.lost_slots, ...made.lost_next_slots].join(", ")],
            ]}
          />
          <div class="buttons">
            <Button look="main" onClick={close}>
              {text.common.close}
            </Button>
          </div>
        </>
      ) : (
        <>
          <p class="note warn">{text.keys.newKeyAbout}</p>
          <Form
            doing={doing}
            button={text.keys.newKey}
            look="danger main"
            cancel={close}
            send={async () => {
              if (zone.trim() !== own) throw mistake(text.common.nameDiffers(own), ZONE);
              if (passPhrase.first) checkNewPassPhrase(passPhrase, text);
              const params: Params<"site.key_new"> = { secrets: [secretOf(secret)] };
              if (passPhrase.first) params.slots = [{ passphrase: passPhrase.first }];
              if (since) params.compromised_since = new Date(since).toISOString();
              setMade(await site.call("site.key_new", params));
              done();
            }}
          >
            <SecretFields legend={text.keys.opensNext} field="secrets" value={secret} set={setSecret} />
            <NewPassPhraseFields value={passPhrase} set={setPassPhrase} />
            <Input
              label={text.keys.stolenSince}
              field="compromised_since"
              help={text.keys.stolenHelp}
              type="datetime-local"
              value={since}
              set={setSince}
            />
            <Input label={text.common.typeName(own)} field={ZONE} value={zone} set={setZone} />
          </Form>
        </>
      )}
    </Dialog>
  );
}
