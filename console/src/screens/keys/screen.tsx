import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Copy } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { Form, Select } from "../../parts/form";
import { NewPassPhraseFields, checkNewPassPhrase } from "../../parts/new-pass-phrase";
import { Card, Page } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact } from "../../parts/time";
import type { Params, Result } from "../../site/contract";
import { Marked } from "../../parts/marked";
import { useText } from "../../text/catalogue";
import { KeyEvents } from "./key-events";
import { NewKey } from "./new-key";
import { SecretFields, secretOf, type Typed } from "./secret-fields";

type Slot = Result<"site.key_slots">["slots"][number];
type Which = "current" | "next";
type Open = "passphrase" | "add" | "test" | "recovery" | "new";

/** The slots of the site key. Only a local admin may call these operations. */
export function Keys() {
  const text = useText();
  const { may } = useConsole();
  const [open, setOpen] = useState<Open>();
  const reading = useQuery("site.key_slots", {});
  const close = (): void => setOpen(undefined);
  const done = (): void => {
    close();
    reading.reload();
  };
  return (
    <Page
      title={text.screens.keys}
      about={text.keys.about}
      actions={
        <>
          {may("site.key_slot_test") ? (
            <Button onClick={() => setOpen("test")}>{text.keys.test}</Button>
          ) : null}
          {may("site.key_slot_add") ? <Button onClick={() => setOpen("add")}>{text.keys.add}</Button> : null}
          {may("site.key_passphrase") ? (
            <Button look="main" onClick={() => setOpen("passphrase")}>
              {text.keys.passPhrase}
            </Button>
          ) : null}
        </>
      }
    >
      <Shown reading={reading}>
        {({ slots, next_slots }) => (
          <>
            <Slots
              title={text.keys.current}
              about={text.keys.currentAbout}
              which="current"
              slots={slots}
              reload={reading.reload}
            />
            <Slots
              title={text.keys.next}
              about={text.keys.nextAbout}
              which="next"
              slots={next_slots}
              reload={reading.reload}
            />
          </>
        )}
      </Shown>
      <KeyEvents />
      <Card title={text.keys.replace} about={text.keys.replaceAbout} look="stop">
        <div class="body">
          <div class="buttons">
            {may("site.key_recovery") ? (
              <Button onClick={() => setOpen("recovery")}>{text.keys.recovery}</Button>
            ) : null}
            {may("site.key_new") ? (
              <Button look="danger" onClick={() => setOpen("new")}>
                {text.keys.newKey}
              </Button>
            ) : null}
          </div>
        </div>
      </Card>
      {open === "passphrase" ? <SetPassPhrase close={close} done={done} /> : null}
      {open === "add" ? <AddSlot close={close} done={done} /> : null}
      {open === "test" ? <TestSecret close={close} /> : null}
      {open === "recovery" ? <NewRecoveryCode close={done} /> : null}
      {open === "new" ? <NewKey close={close} done={reading.reload} /> : null}
    </Page>
  );
}

function Slots({
  title,
  about,
  which,
  slots,
  reload,
}: {
  title: string;
  about: string;
  which: Which;
  slots: readonly Slot[];
  reload: () => void;
}) {
  const text = useText();
  const { site, may } = useConsole();
  return (
    <Card title={title} about={about}>
      <Table
        caption={title}
        entries={slots}
        id={({ slot }) => String(slot)}
        columns={[
          {
            title: text.keys.slot,
            is: "name",
            cell: ({ slot }) => <strong>{text.keys.slotNumber(slot)}</strong>,
          },
          {
            title: text.keys.kind,
            cell: ({ kind }) => (text.keys.kinds as Readonly<Record<string, string>>)[kind] ?? kind,
          },
          { title: text.keys.created, cell: ({ created }) => <Exact at={created} /> },
          {
            title: text.common.actions,
            is: "end",
            cell: ({ slot }) =>
              slots.length > 1 && may("site.key_slot_remove") ? (
                <Confirm
                  look="quiet danger"
                  target={text.keys.slotNumber(slot)}
                  title={text.keys.removeTitle(slot)}
                  explanation={text.keys.removeAbout}
                  act={() => site.call("site.key_slot_remove", { key: which, slot })}
                  done={reload}
                >
                  {text.keys.remove}
                </Confirm>
              ) : null,
          },
        ]}
      />
    </Card>
  );
}

interface Opened {
  close: () => void;
  done: () => void;
}

function SetPassPhrase({ close, done }: Opened) {
  const text = useText();
  const { site, say } = useConsole();
  const [value, set] = useState({ first: "", again: "" });
  const doing = useDoing();
  return (
    <Dialog title={text.keys.passPhrase} close={close}>
      <p class="soft">
        <Marked>{text.keys.passPhraseAbout}</Marked>
      </p>
      <Form
        doing={doing}
        button={text.keys.passPhrase}
        cancel={close}
        send={async () => {
          checkNewPassPhrase(value, text);
          await site.call("site.key_passphrase", { passphrase: value.first });
          say(text.common.saved);
          done();
        }}
      >
        <NewPassPhraseFields value={value} set={set} />
      </Form>
    </Dialog>
  );
}

function AddSlot({ close, done }: Opened) {
  const text = useText();
  const { site, say } = useConsole();
  const [which, setWhich] = useState<Which>("current");
  const [slot, setSlot] = useState<Typed>({ kind: "passphrase", value: "" });
  const [opens, setOpens] = useState<Typed>({ kind: "recovery_code", value: "" });
  const doing = useDoing();
  return (
    <Dialog title={text.keys.add} close={close} wide>
      <Form
        doing={doing}
        button={text.keys.add}
        cancel={close}
        send={async () => {
          const params: Params<"site.key_slot_add"> = { key: which, slot: secretOf(slot) };
          if (which === "next") params.secret = secretOf(opens);
          await site.call("site.key_slot_add", params);
          say(text.common.saved);
          done();
        }}
      >
        <KeyChoice which={which} set={setWhich} />
        <SecretFields legend={text.keys.newSecret} field="slot" value={slot} set={setSlot} fresh />
        {which === "next" ? (
          <SecretFields legend={text.keys.opensNext} field="secret" value={opens} set={setOpens} />
        ) : null}
      </Form>
    </Dialog>
  );
}

function KeyChoice({ which, set }: { which: Which; set: (which: Which) => void }) {
  const text = useText();
  return (
    <Select
      label={text.keys.key}
      field="key"
      value={which}
      set={set}
      options={[
        ["current", text.keys.current],
        ["next", text.keys.next],
      ]}
    />
  );
}

function TestSecret({ close }: { close: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [which, setWhich] = useState<Which>("current");
  const [secret, setSecret] = useState<Typed>({ kind: "passphrase", value: "" });
  const [opened, setOpened] = useState("");
  const doing = useDoing();
  return (
    <Dialog title={text.keys.test} close={close} wide>
      <p class="soft">
        <Marked>{text.keys.testAbout}</Marked>
      </p>
      <Form
        doing={doing}
        button={text.keys.test}
        cancel={close}
        send={async () => {
          setOpened("");
          setOpened((await site.call("site.key_slot_test", { key: which, secret: secretOf(secret) })).kind);
        }}
      >
        <KeyChoice which={which} set={setWhich} />
        <SecretFields legend={text.keys.secret} field="secret" value={secret} set={setSecret} />
        {opened ? (
          <p class="note good" role="status">
            {text.keys.opens((text.keys.kinds as Readonly<Record<string, string>>)[opened] ?? opened)}
          </p>
        ) : null}
      </Form>
    </Dialog>
  );
}

function NewRecoveryCode({ close }: { close: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [old, setOld] = useState<Typed>({ kind: "recovery_code", value: "" });
  const [made, setMade] = useState<Result<"site.key_recovery">>();
  const doing = useDoing();
  return (
    <Dialog title={text.keys.recovery} close={close} wide stays={made !== undefined}>
      {made ? (
        <>
          <p class="note warn">{text.keys.recoveryOnce}</p>
          <Copy name={text.keys.recoveryCode} value={made.recovery_code} secret />
          {typeof made.next_slot === "number" ? null : <p class="note">{text.keys.recoveryCurrentOnly}</p>}
          <div class="buttons">
            <Button look="main" onClick={close}>
              {text.common.close}
            </Button>
          </div>
        </>
      ) : (
        <>
          <p class="soft">
            <Marked>{text.keys.recoveryAbout}</Marked>
          </p>
          <Form
            doing={doing}
            button={text.keys.recovery}
            look="danger main"
            cancel={close}
            send={async () =>
              setMade(await site.call("site.key_recovery", old.value.trim() ? { secret: secretOf(old) } : {}))
            }
          >
            <SecretFields legend={text.keys.opensNextOptional} field="secret" value={old} set={setOld} />
          </Form>
        </>
      )}
    </Dialog>
  );
}
