import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { orReread } from "../../app/queries";
import { FormDialog } from "../../parts/form-dialog";
import { FileText } from "../../parts/file-text";
import { TYPED } from "../../parts/confirm";
import { Check, Input, Select } from "../../parts/form";
import { Consequences } from "../../parts/removals";
import { mistake, type Params, type Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

interface Props {
  close: () => void;
  done: (made: { name: string }) => void;
}

type Role = Params<"person.create">["role"] & string;

function RoleField({ value, set }: { value: Role; set: (role: Role) => void }) {
  const text = useText();
  return (
    <Select
      label={text.people.role}
      field="role"
      value={value}
      set={set}
      options={[
        ["member", text.roles.member],
        ["admin", text.roles.admin],
      ]}
    />
  );
}

export function CreatePerson({ close, done }: Props) {
  const text = useText();
  const { site } = useConsole();
  const [name, setName] = useState("");
  const [fullName, setFullName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  return (
    <FormDialog
      title={text.people.create}
      about={text.people.createAbout}
      button={text.people.create}
      close={close}
      send={() =>
        site.call("person.create", {
          name: name.trim(),
          role,
          ...(fullName ? { full_name: fullName } : {}),
          ...(email ? { email } : {}),
        })
      }
      said={(made) => text.people.created(made.name)}
      done={done}
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
      <RoleField value={role} set={setRole} />
    </FormDialog>
  );
}

/** Changes name, full name and role. Sends only what changed, since a new name or role cuts sessions. */
export function EditAccount({
  person: shown,
  close,
  done,
  reload,
}: Props & { person: Result<"person.show">; reload: () => void }) {
  const text = useText();
  const { site, me } = useConsole();
  const [person] = useState(shown);
  const [name, setName] = useState(person.name);
  const [fullName, setFullName] = useState(person.full_name);
  const [role, setRole] = useState<Role>(person.role === "admin" ? "admin" : "member");
  const [typed, setTyped] = useState("");
  const own = person.id === me.id;
  const demotes = own && role !== person.role;
  const cuts = name.trim() !== person.name || role !== person.role;
  return (
    <FormDialog
      title={text.people.editTitle(person.name)}
      close={close}
      send={async () => {
        if (demotes && typed.trim() !== person.name)
          throw mistake(text.common.nameDiffers(person.name), TYPED);
        return orReread(
          site.call("person.update", {
            name: person.name,
            if_match: person.etag,
            ...(name.trim() === person.name ? {} : { new_name: name.trim() }),
            ...(fullName === person.full_name ? {} : { full_name: fullName }),
            ...(role === person.role ? {} : { role }),
          }),
          reload,
        );
      }}
      done={done}
    >
      <Input
        label={text.people.name}
        field="new_name"
        help={text.people.nameHelp}
        value={name}
        set={setName}
      />
      <Input label={text.people.fullName} field="full_name" value={fullName} set={setFullName} />
      <RoleField value={role} set={setRole} />
      {demotes ? (
        <>
          <Consequences verb="demote" own about="" />
          <Input label={text.common.typeName(person.name)} field={TYPED} value={typed} set={setTyped} />
        </>
      ) : cuts ? (
        <p class="note warn">{own ? text.people.cutsOwn : text.people.cutsSessions}</p>
      ) : null}
    </FormDialog>
  );
}

/** Loads a person from a dump. */
export function LoadPerson({ close, done }: Props) {
  const text = useText();
  const { site } = useConsole();
  const [dump, setDump] = useState("");
  const [without, setWithout] = useState(false);
  return (
    <FormDialog
      title={text.people.load}
      about={text.people.loadAbout}
      button={text.people.load}
      wide
      close={close}
      send={() => site.call("person.load", { dump, without_passphrase: without })}
      said={(made) => text.people.created(made.name)}
      done={done}
    >
      <FileText
        file={text.people.dumpFile}
        label={text.people.dump}
        field="dump"
        lines={8}
        isDump
        value={dump}
        set={setDump}
      />
      <Check
        label={text.people.loadWithout}
        help={text.people.loadWithoutHelp}
        value={without}
        set={setWithout}
      />
    </FormDialog>
  );
}
