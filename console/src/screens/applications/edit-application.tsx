import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { FileField } from "../../parts/file-field";
import { Form, Input, Select } from "../../parts/form";
import { mistake, type Result } from "../../site/contract";
import { Marked } from "../../parts/marked";
import { useText } from "../../text/catalogue";
import { read, words, write } from "./parties";

interface Props {
  close: () => void;
  done: () => void;
}

export function EditApplication({ app, close, done }: Props & { app: Result<"app.show"> }) {
  const text = useText();
  const { site, say } = useConsole();
  const [mayCall, setMayCall] = useState(write(app.may_call));
  const [groups, setGroups] = useState(app.groups.join(", "));
  const [seconds, setSeconds] = useState(String(app.keys_last / 1000));
  const [service, setService] = useState(app.service ?? "");
  const [data, setData] = useState(
    app.auth_data === null || app.auth_data === undefined ? "" : JSON.stringify(app.auth_data),
  );
  const doing = useDoing();
  return (
    <Dialog title={text.people.editTitle(app.id)} close={close} wide>
      <Form
        doing={doing}
        button={text.common.save}
        cancel={close}
        send={async () => {
          await site.call("app.update", {
            id: app.id,
            settings: {
              may_call: read(mayCall),
              groups: words(groups),
              keys_last: Math.round(Number(seconds) * 1000),
              service: service.trim(),
              auth_data: json(data, text.applications.authDataWrong),
            },
          });
          say(text.common.saved);
          close();
          done();
        }}
      >
        <Input
          label={text.applications.mayCall}
          field="settings.may_call"
          help={text.applications.mayCallHelp}
          value={mayCall}
          set={setMayCall}
        />
        <Input
          label={text.applications.groups}
          field="settings.groups"
          help={text.applications.groupsHelp}
          value={groups}
          set={setGroups}
        />
        <Input
          label={text.applications.lifetimeSeconds}
          field="settings.keys_last"
          help={text.applications.lifetimeHelp}
          type="number"
          value={seconds}
          set={setSeconds}
        />
        <Input
          label={text.applications.service}
          field="settings.service"
          help={text.applications.serviceHelp}
          value={service}
          set={setService}
        />
        <Input
          label={text.applications.authData}
          field="settings.auth_data"
          help={text.applications.authDataHelp}
          lines={3}
          mono
          value={data}
          set={setData}
        />
      </Form>
    </Dialog>
  );
}

function json(typed: string, wrong: string): unknown {
  if (!typed.trim()) return null;
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    throw mistake(wrong, "settings.auth_data");
  }
}

export function RotateKey({ id, close, done }: Props & { id: string }) {
  const text = useText();
  const { site, say } = useConsole();
  const [key, setKey] = useState("");
  const [label, setLabel] = useState("");
  const [overlap, setOverlap] = useState("86400000");
  const doing = useDoing();
  return (
    <Dialog title={text.applications.rotate} close={close} wide>
      <p class="soft">
        <Marked>{text.applications.rotateAbout}</Marked>
      </p>
      <Form
        doing={doing}
        button={text.applications.rotate}
        cancel={close}
        send={async () => {
          await site.call("app.rotate_key", {
            id,
            public_key: key,
            overlap: Number(overlap),
            ...(label ? { label } : {}),
          });
          say(text.common.saved);
          close();
          done();
        }}
      >
        <FileField label={text.applications.keyFile} set={setKey} />
        <Input
          label={text.applications.publicKey}
          field="public_key"
          lines={4}
          mono
          value={key}
          set={setKey}
        />
        <Input label={text.applications.label} field="label" value={label} set={setLabel} />
        <Select
          label={text.applications.overlap}
          field="overlap"
          value={overlap}
          set={setOverlap}
          options={[
            ["86400000", text.tickets.days(1)],
            ["604800000", text.tickets.days(7)],
            ["3600000", text.tickets.hours(1)],
            ["0", text.applications.atOnce],
          ]}
        />
      </Form>
    </Dialog>
  );
}
