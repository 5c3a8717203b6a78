import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input, Select } from "../../parts/form";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

export function CreatePerson({
  close,
  done,
}: {
  close: () => void;
  done: (made: Result<"person.create">) => void;
}) {
  const text = useText();
  const { site, say } = useConsole();
  const [name, setName] = useState("");
  const [fullName, setFullName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<"member" | "admin">("member");
  const doing = useDoing();
  return (
    <Dialog title={text.people.create} close={close}>
      <p class="soft">{text.people.createAbout}</p>
      <Form
        doing={doing}
        button={text.people.create}
        cancel={close}
        send={async () => {
          const made = await site.call("person.create", {
            name: name.trim(),
            role,
            ...(fullName ? { full_name: fullName } : {}),
            ...(email ? { email } : {}),
          });
          say(text.people.created(made.name));
          done(made);
        }}
      >
        <Input label={text.people.name} field="name" help={text.people.nameHelp} value={name} set={setName} />
        <Input label={text.people.fullName} field="full_name" value={fullName} set={setFullName} />
        <Input
          label={text.people.email}
          field="email"
          type="email"
          help={text.people.emailHelp}
          value={email}
          set={setEmail}
        />
        <Select
          label={text.people.role}
          field="role"
          value={role}
          set={setRole}
          options={[
            ["member", text.roles.member],
            ["admin", text.roles.admin],
          ]}
        />
      </Form>
    </Dialog>
  );
}
