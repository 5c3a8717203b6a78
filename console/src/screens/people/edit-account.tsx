import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input, Select } from "../../parts/form";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

interface Props {
  person: Result<"person.show">;
  close: () => void;
  /** Called with the name after the change. */
  done: (name: string) => void;
}

/** Changes name, display name and role. Sends only what changed, since a new name or role cuts sessions. */
export function EditAccount({ person, close, done }: Props) {
  const text = useText();
  const { site, say } = useConsole();
  const [name, setName] = useState(person.name);
  const [fullName, setFullName] = useState(person.full_name);
  const [role, setRole] = useState(person.role === "admin" ? "admin" : "member");
  const doing = useDoing();
  const cuts = name.trim() !== person.name || role !== person.role;
  return (
    <Dialog title={text.people.editTitle(person.name)} close={close}>
      <Form
        doing={doing}
        button={text.common.save}
        cancel={close}
        send={async () => {
          const changed = await site.call("person.update", {
            name: person.name,
            ...(name.trim() === person.name ? {} : { new_name: name.trim() }),
            ...(fullName === person.full_name ? {} : { full_name: fullName }),
            ...(role === person.role ? {} : { role: role as "admin" | "member" }),
          });
          say(text.common.saved);
          close();
          done(changed.name);
        }}
      >
        <Input label={text.people.name} field="new_name" value={name} set={setName} />
        <Input label={text.people.fullName} field="full_name" value={fullName} set={setFullName} />
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
        {cuts ? <p class="note warn">{text.people.cutsSessions}</p> : null}
      </Form>
    </Dialog>
  );
}
