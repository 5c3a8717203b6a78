import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { orReread } from "../../app/queries";
import { FileText, expectText } from "../../parts/file-text";
import { FormDialog } from "../../parts/form-dialog";
import { Input, Select } from "../../parts/form";
import { mistake, type Params, type Result } from "../../site/contract";
import { useText, type Text } from "../../text/catalogue";
import { difference, read, words, write } from "./parties";

interface Props {
  close: () => void;
  done: () => void;
}

/** The policy of an application as it is typed. */
type Typed = Record<"mayCall" | "callers" | "groups" | "seconds" | "service" | "data", string>;

/** The lifetime of tickets for a new application, in milliseconds: that of the site. */
const NEW = 3_600_000;

const start = (app?: Result<"app.show">): Typed => ({
  mayCall: write(app?.may_call ?? []),
  callers: app?.callers?.join(", ") ?? "",
  groups: app?.groups.join(", ") ?? "",
  seconds: String((app?.keys_last ?? NEW) / 1000),
  service: app?.service ?? "",
  data: app?.auth_data === null || app?.auth_data === undefined ? "" : JSON.stringify(app.auth_data),
});

function settings({ groups, seconds, service, data }: Typed, text: Text) {
  return {
    groups: words(groups),
    keys_last: milliseconds(seconds, text.settings.seconds),
    service: service.trim(),
    auth_data: json(data, text.applications.authDataWrong),
  };
}

/** The field in which each setting is typed. */
const TYPED = { groups: "groups", keys_last: "seconds", service: "service", auth_data: "data" } as const;

/** The settings that were changed here: another admin may have changed the rest. */
function changed(before: Typed, typed: Typed, text: Text): Partial<ReturnType<typeof settings>> {
  const isChanged = (key: string): boolean => {
    const field = TYPED[key as keyof typeof TYPED];
    return before[field] !== typed[field];
  };
  return Object.fromEntries(Object.entries(settings(typed, text)).filter(([key]) => isChanged(key)));
}

function milliseconds(typed: string, wrong: string): number {
  const seconds = Number(typed);
  if (!(seconds > 0) || !Number.isFinite(seconds)) throw mistake(wrong, "settings.keys_last");
  return Math.round(seconds * 1000);
}

function json(typed: string, wrong: string): unknown {
  if (!typed.trim()) return null;
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    throw mistake(wrong, "settings.auth_data");
  }
}

interface PolicyProps {
  typed: Typed;
  set: (typed: Typed) => void;
  /** The parameter that has the applications that may be called. */
  field: string;
  /** It has applications of peers that may call it. */
  called?: boolean;
}

function Policy({ typed, set, field, called = false }: PolicyProps) {
  const text = useText();
  const of = (key: keyof Typed) => ({
    value: typed[key],
    set: (value: string) => set({ ...typed, [key]: value }),
  });
  return (
    <>
      <Input
        label={text.applications.mayCall}
        field={field}
        help={text.applications.mayCallHelp}
        {...of("mayCall")}
      />
      {called ? (
        <Input
          label={text.applications.callers}
          field="allow_callers"
          help={text.applications.callersHelp}
          {...of("callers")}
        />
      ) : null}
      <Input
        label={text.applications.groups}
        field="settings.groups"
        help={text.applications.groupsHelp}
        {...of("groups")}
      />
      <Input
        label={text.applications.lifetimeSeconds}
        field="settings.keys_last"
        help={text.applications.lifetimeHelp}
        type="number"
        {...of("seconds")}
      />
      <Input
        label={text.applications.service}
        field="settings.service"
        help={text.applications.serviceHelp}
        {...of("service")}
      />
      <Input
        label={text.applications.authData}
        field="settings.auth_data"
        help={text.applications.authDataHelp}
        lines={3}
        mono
        {...of("data")}
      />
    </>
  );
}

export function CreateApplication({ close, done }: { close: () => void; done: (id: string) => void }) {
  const text = useText();
  const { site } = useConsole();
  const [id, setId] = useState("");
  const [edition, setEdition] = useState<Params<"app.create">["edition"] & string>("v2");
  const [key, setKey] = useState("");
  const [typed, set] = useState(start());
  return (
    <FormDialog
      title={text.applications.create}
      about={text.applications.createAbout}
      button={text.applications.create}
      wide
      close={close}
      send={async () =>
        site.call("app.create", {
          id: id.trim(),
          edition,
          public_keys: [expectText(key, "public_keys", text)],
          settings: { ...settings(typed, text), may_call: read(typed.mayCall, edition) },
        })
      }
      said={(made) => text.applications.created(made.id)}
      done={(made) => done(made.id)}
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
      <FileText
        file={text.applications.keyFile}
        label={text.applications.publicKey}
        field="public_keys"
        help={text.applications.publicKeyHelp}
        value={key}
        set={setKey}
      />
      <Policy typed={typed} set={set} field="settings.may_call" />
    </FormDialog>
  );
}

export function EditApplication({ app, close, done }: Props & { app: Result<"app.show"> }) {
  const text = useText();
  const { site } = useConsole();
  const [before] = useState(start(app));
  const [etag] = useState(app.etag);
  const [typed, set] = useState(before);
  return (
    <FormDialog
      title={text.people.editTitle(app.id)}
      wide
      close={close}
      send={async () => {
        const mayCall = difference(before.mayCall, typed.mayCall);
        const callers = difference(before.callers, typed.callers);
        const update = site.call("app.update", {
          id: app.id,
          if_match: etag,
          settings: changed(before, typed, text),
          allow: read(mayCall.added, app.edition),
          disallow: read(mayCall.removed, app.edition),
          allow_callers: words(callers.added),
          disallow_callers: words(callers.removed),
        });
        return orReread(update, done);
      }}
      done={done}
    >
      <Policy typed={typed} set={set} field="allow" called={app.edition === "v2"} />
    </FormDialog>
  );
}

export function RotateKey({ id, close, done }: Props & { id: string }) {
  const text = useText();
  const { site } = useConsole();
  const [key, setKey] = useState("");
  const [label, setLabel] = useState("");
  const [overlap, setOverlap] = useState("86400000");
  return (
    <FormDialog
      title={text.applications.rotate}
      about={text.applications.rotateAbout}
      button={text.applications.rotate}
      wide
      close={close}
      send={async () =>
        site.call("app.rotate_key", {
          id,
          public_key: expectText(key, "public_key", text),
          overlap: Number(overlap),
          ...(label ? { label } : {}),
        })
      }
      done={done}
    >
      <FileText
        file={text.applications.keyFile}
        label={text.applications.publicKey}
        field="public_key"
        help={text.applications.publicKeyHelp}
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
    </FormDialog>
  );
}
