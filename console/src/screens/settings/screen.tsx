import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Act, Button } from "../../parts/button";
import { FormDialog } from "../../parts/form-dialog";
import { Form, Input } from "../../parts/form";
import { Card, Page } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tag";
import { mistake, type Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Setting = Result<"config.list">["settings"][number];

const section = (key: string): string => (key.includes(".") ? key.slice(0, key.indexOf(".")) : "");
const written = (value: unknown): string =>
  value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);

/** The settings of the site: value, origin, and a change while it runs. */
export function Settings() {
  const text = useText();
  const reading = useQuery("config.list", {});
  const [search, setSearch] = useState("");
  return (
    <Page title={text.screens.settings} about={text.settings.about}>
      <SiteDefaults />
      <div class="search">
        <Input
          label={text.settings.search}
          type="search"
          value={search}
          set={setSearch}
          placeholder="limits.connections"
        />
      </div>
      <Shown reading={reading}>
        {({ settings }) => {
          const found = settings.filter(({ key }) => key.includes(search.trim().toLowerCase()));
          const sections = [...new Set(found.map(({ key }) => section(key)))];
          return found.length === 0 ? (
            <p class="soft">{text.settings.none}</p>
          ) : (
            <>
              {sections.map((name) => (
                <Section
                  key={name}
                  name={name}
                  settings={found.filter(({ key }) => section(key) === name)}
                  reload={reading.reload}
                />
              ))}
            </>
          );
        }}
      </Shown>
    </Page>
  );
}

function Section({
  name,
  settings,
  reload,
}: {
  name: string;
  settings: readonly Setting[];
  reload: () => void;
}) {
  const text = useText();
  const { site, may } = useConsole();
  const [editing, edit] = useState<Setting>();
  return (
    <Card title={name || text.settings.general} look="settings">
      <Table
        caption={name || text.settings.general}
        entries={settings}
        id={({ key }) => key}
        columns={[
          { title: text.settings.key, is: "name", cell: ({ key }) => <code class="break">{key}</code> },
          {
            title: text.settings.value,
            cell: ({ value }) =>
              written(value) ? (
                <code class="break">{written(value)}</code>
              ) : (
                <span class="soft">{text.settings.unset}</span>
              ),
          },
          {
            title: text.settings.source,
            cell: ({ source }) => (
              <Tag mood={source === "default" ? "plain" : ""}>{text.settings.sources[source]}</Tag>
            ),
          },
          {
            title: text.common.actions,
            is: "end",
            cell: (setting) => (
              <>
                {setting.source === "database" && may("config.unset") ? (
                  <Act
                    look="quiet"
                    name={`${text.settings.reset} ${setting.key}`}
                    act={() => site.call("config.unset", { key: setting.key })}
                    done={reload}
                  >
                    {text.settings.reset}
                  </Act>
                ) : null}
                {setting.at_run_time && may("config.set") ? (
                  <Button
                    look="quiet"
                    name={`${text.common.change} ${setting.key}`}
                    onClick={() => edit(setting)}
                  >
                    {text.common.change}
                  </Button>
                ) : null}
                {setting.at_run_time ? null : <span class="soft small">{text.settings.restart}</span>}
              </>
            ),
          },
        ]}
      />
      {editing ? <Edit setting={editing} close={() => edit(undefined)} done={reload} /> : null}
    </Card>
  );
}

/** The value that was typed, of the type that the setting has now. */
function read(typed: string, before: unknown, wrong: string): unknown {
  if (typeof before === "string") return typed;
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    if (before === undefined || before === null) return typed;
    throw mistake(wrong, "value");
  }
}

function Edit({ setting, close, done }: { setting: Setting; close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [value, setValue] = useState(written(setting.value));
  return (
    <FormDialog
      title={setting.key}
      close={close}
      send={async () =>
        site.call("config.set", {
          key: setting.key,
          value: read(value, setting.value, text.settings.wrong),
        })
      }
      done={done}
    >
      <Input label={text.settings.value} field="value" mono value={value} set={setValue} />
      {setting.source === "file" || setting.source === "environment" || setting.source === "flag" ? (
        <p class="note warn">{text.settings.overrides(text.settings.sources[setting.source])}</p>
      ) : null}
    </FormDialog>
  );
}

/** The lifetimes that the site stores itself. */
function SiteDefaults() {
  const text = useText();
  const { may } = useConsole();
  const reading = useQuery("site.config", {}, { when: may("site.config") });
  if (!may("site.config")) return null;
  return (
    <Card title={text.settings.defaults} about={text.settings.defaultsAbout}>
      <Shown reading={reading}>{(now) => <Lifetimes now={now} done={reading.reload} />}</Shown>
    </Card>
  );
}

function Lifetimes({ now, done }: { now: Result<"site.config">; done: () => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const [session, setSession] = useState(String(now.session_lifetime));
  const [key, setKey] = useState(String(now.key_lifetime ?? ""));
  const doing = useDoing();
  return (
    <div class="body">
      <Form
        doing={doing}
        button={text.common.save}
        look=""
        row
        send={() =>
          site.call("site.config", {
            session_lifetime: Number(session),
            ...(key ? { key_lifetime: Number(key) } : {}),
          })
        }
        done={() => {
          say(text.common.saved);
          done();
        }}
      >
        <Input
          label={text.settings.sessionLifetime}
          field="session_lifetime"
          type="number"
          value={session}
          set={setSession}
        />
        <Input
          label={text.settings.keyLifetime}
          field="key_lifetime"
          type="number"
          value={key}
          set={setKey}
        />
      </Form>
    </div>
  );
}
