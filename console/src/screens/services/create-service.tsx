import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { FileField } from "../../parts/file-field";
import { Form, Input } from "../../parts/form";
import { Marked } from "../../parts/marked";
import { useText } from "../../text/catalogue";

export function CreateService({ close, done }: { close: () => void; done: (name: string) => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const [name, setName] = useState("");
  const [fullName, setFullName] = useState("");
  const [certificate, setCertificate] = useState("");
  const doing = useDoing();
  return (
    <Dialog title={text.services.create} close={close} wide>
      <p class="soft">
        <Marked>{text.services.createAbout}</Marked>
      </p>
      <Form
        doing={doing}
        button={text.services.create}
        cancel={close}
        send={async () => {
          const made = await site.call("service.create", {
            name: name.trim(),
            ...(fullName ? { full_name: fullName } : {}),
            ...(certificate.trim() ? { certificate } : {}),
          });
          say(text.people.created(made.name));
          done(made.name);
        }}
      >
        <Input label={text.people.name} field="name" value={name} set={setName} />
        <Input label={text.people.fullName} field="full_name" value={fullName} set={setFullName} />
        <FileField label={text.services.certificateFile} set={setCertificate} />
        <Input
          label={text.services.certificate}
          field="certificate"
          help={text.services.certificateHelp}
          lines={4}
          mono
          value={certificate}
          set={setCertificate}
        />
      </Form>
    </Dialog>
  );
}

export function AddKey({ name, close, done }: { name: string; close: () => void; done: () => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const [certificate, setCertificate] = useState("");
  const [label, setLabel] = useState("");
  const doing = useDoing();
  return (
    <Dialog title={text.services.addKey} close={close} wide>
      <Form
        doing={doing}
        button={text.services.addKey}
        cancel={close}
        send={async () => {
          await site.call("key.add", { name, certificate, ...(label ? { label } : {}) });
          say(text.common.saved);
          close();
          done();
        }}
      >
        <FileField label={text.services.certificateFile} set={setCertificate} />
        <Input
          label={text.services.certificate}
          field="certificate"
          help={text.services.certificateHelp}
          lines={4}
          mono
          value={certificate}
          set={setCertificate}
        />
        <Input label={text.applications.label} field="label" value={label} set={setLabel} />
      </Form>
    </Dialog>
  );
}
