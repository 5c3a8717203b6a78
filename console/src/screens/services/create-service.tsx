import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { FileText, expectText } from "../../parts/file-text";
import { FormDialog } from "../../parts/form-dialog";
import { Input } from "../../parts/form";
import { useText } from "../../text/catalogue";

export function CreateService({ close, done }: { close: () => void; done: (name: string) => void }) {
  const text = useText();
  const { site } = useConsole();
  const [name, setName] = useState("");
  const [fullName, setFullName] = useState("");
  const [certificate, setCertificate] = useState("");
  return (
    <FormDialog
      title={text.services.create}
      about={text.services.createAbout}
      button={text.services.create}
      wide
      close={close}
      send={() =>
        site.call("service.create", {
          name: name.trim(),
          ...(fullName ? { full_name: fullName } : {}),
          ...(certificate.trim() ? { certificate } : {}),
        })
      }
      said={(made) => text.people.created(made.name)}
      done={(made) => done(made.name)}
    >
      <Input label={text.people.name} field="name" help={text.people.nameHelp} value={name} set={setName} />
      <Input label={text.people.fullName} field="full_name" value={fullName} set={setFullName} />
      <Certificate value={certificate} set={setCertificate} />
    </FormDialog>
  );
}

export function AddKey({ name, close, done }: { name: string; close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [certificate, setCertificate] = useState("");
  const [label, setLabel] = useState("");
  return (
    <FormDialog
      title={text.services.addKey}
      button={text.services.addKey}
      wide
      close={close}
      send={async () =>
        site.call("key.add", {
          name,
          certificate: expectText(certificate, "certificate", text),
          ...(label ? { label } : {}),
        })
      }
      done={done}
    >
      <Certificate value={certificate} set={setCertificate} />
      <Input label={text.applications.label} field="label" value={label} set={setLabel} />
    </FormDialog>
  );
}

function Certificate({ value, set }: { value: string; set: (value: string) => void }) {
  const text = useText();
  return (
    <FileText
      file={text.services.certificateFile}
      label={text.services.certificate}
      field="certificate"
      help={text.services.certificateHelp}
      value={value}
      set={set}
    />
  );
}
