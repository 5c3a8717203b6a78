import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { FileField } from "../../parts/file-field";
import { Form, Input, Select } from "../../parts/form";
import { Marked } from "../../parts/marked";
import { useText } from "../../text/catalogue";
import { read, words } from "./parties";

export function CreateApplication({ close, done }: { close: () => void; done: (id: string) => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const [id, setId] = useState("");
  const [edition, setEdition] = useState<"v2" | "serveros-v1">("v2");
  const [key, setKey] = useState("");
  const [mayCall, setMayCall] = useState("");
  const [groups, setGroups] = useState("");
  const doing = useDoing();
  return (
    <Dialog title={text.applications.create} close={close} wide>
      <p class="soft">
        <Marked>{text.applications.createAbout}</Marked>
      </p>
      <Form
        doing={doing}
        button={text.applications.create}
        cancel={close}
        send={async () => {
          const made = await site.call("app.create", {
            id: id.trim(),
            edition,
            public_keys: [key],
            settings: { may_call: read(mayCall), groups: words(groups) },
          });
          say(text.applications.created(made.id));
          done(made.id);
        }}
      >
        <Input label={text.applications.id} field="id" value={id} set={setId} />
        <Select
          label={text.applications.edition}
          field="edition"
          value={edition}
          set={setEdition}
          options={[
            ["v2", "v2"],
            ["serveros-v1", "serveros-v1"],
          ]}
        />
        <FileField label={text.applications.keyFile} set={setKey} />
        <Input
          label={text.applications.publicKey}
          field="public_keys"
          help={text.applications.publicKeyHelp}
          lines={4}
          mono
          value={key}
          set={setKey}
        />
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
      </Form>
    </Dialog>
  );
}
