import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { useFilter } from "../../app/router";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { FormDialog } from "../../parts/form-dialog";
import { Form, Input, Select } from "../../parts/form";
import { Card, Page } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tag";
import { Span, isLength } from "../../parts/time";
import { mistake, type Params, type Result } from "../../site/contract";
import { useText, wordOf, type Text } from "../../text/catalogue";

type Setting = Result<"config.list">["settings"][number];

const section = (key: string): string => (key.includes(".") ? key.slice(0, key.indexOf(".")) : "");
const isLines = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");
const written = (value: unknown): string =>
  value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
/** As it is typed: a list has an entry on each line. */
const typedAs = (value: unknown): string => (isLines(value) ? value.join("\n") : written(value));

/** The settings of the site: value, origin, and a change while it runs. */
export function Settings() {
  const text = useText();
  const reading = useQuery("config.list", {});
  const [{ search }, filter] = useFilter({ search: "" });
  return (
    <Page title={text.screens.settings} about={text.settings.about}>
      <SiteDefaults />
      <div class="search">
        <Input
          label={text.settings.search}
          type="search"
          value={search}
          set={(typed) => filter({ search: typed })}
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
            cell: ({ key, value, lowered }) => (
              <>
                {written(value) ? (
                  <code class="break">{written(value)}</code>
                ) : (
                  <span class="soft">{text.settings.unset}</span>
                )}
                {key === "options.floor" ? <FloorInForce /> : null}
                {lowered ? <LoweredTo {...lowered} /> : null}
              </>
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
                  <Confirm
                    look="quiet"
                    typed={false}
                    target={setting.key}
                    title={text.settings.resetTitle(setting.key)}
                    explanation={text.settings.resetAbout(written(setting.value))}
                    act={() => site.call("config.unset", { key: setting.key })}
                    said={text.settings.wasReset(setting.key)}
                    done={reload}
                  >
                    {text.settings.reset}
                  </Confirm>
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

/** An admin may have set a higher floor than the configuration file. */
function FloorInForce() {
  const text = useText();
  const { data } = useQuery("option.list", {});
  if (!data) return null;
  return <div class="small soft">{text.settings.floor(wordOf(text.options.strengths, data.floor))}</div>;
}

/** The site lowered a limit, to fit another one or the files that its process may open. */
function LoweredTo({ in_force, to_fit }: NonNullable<Setting["lowered"]>) {
  const text = useText();
  const toFit = to_fit === "open_files" ? text.settings.openFiles : to_fit;
  return <div class="small soft">{text.settings.lowered(in_force, toFit)}</div>;
}

/** The value that was typed, of the type that the setting has now. */
export function read(typed: string, before: unknown, text: Pick<Text, "settings">): unknown {
  if (typeof before === "string") return typed;
  if (isLines(before))
    return typed
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    if (before === undefined || before === null) return typed;
    const type = typeof before;
    throw mistake(text.settings.types[type === "number" || type === "boolean" ? type : "other"], "value");
  }
}

function Edit({ setting, close, done }: { setting: Setting; close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [value, setValue] = useState(typedAs(setting.value));
  const field = { label: text.settings.value, field: "value", value, set: setValue };
  return (
    <FormDialog
      title={setting.key}
      close={close}
      send={async () =>
        site.call("config.set", {
          key: setting.key,
          value: read(value, setting.value, text),
        })
      }
      done={done}
    >
      {typeof setting.value === "boolean" ? (
        <Select
          {...field}
          options={[
            ["true", text.settings.on],
            ["false", text.settings.off],
          ]}
        />
      ) : isLines(setting.value) ? (
        <Input {...field} help={text.settings.lines} mono lines={4} />
      ) : (
        <Input {...field} mono />
      )}
      {setting.overridden === undefined ? null : (
        <p>
          {text.settings.overridden} <code class="break">{written(setting.overridden)}</code>
        </p>
      )}
      {setting.source === "file" || setting.source === "environment" || setting.source === "flag" ? (
        <p class="note warn">{text.settings.overrides(text.settings.sources[setting.source])}</p>
      ) : null}
    </FormDialog>
  );
}

/** The settings that are the site's, not those of its program. */
function SiteDefaults() {
  const text = useText();
  const { may } = useConsole();
  const reading = useQuery("site.config_show", {}, { when: may("site.config") });
  if (!may("site.config")) return null;
  return (
    <Card title={text.settings.defaults} about={text.settings.defaultsAbout}>
      <Shown reading={reading}>
        {(now) => <Defaults key={JSON.stringify(now)} now={now} done={reading.reload} />}
      </Shown>
    </Card>
  );
}

const LIFETIMES = ["session_lifetime", "key_lifetime", "access_token_lifetime"] as const;

function Defaults({ now, done }: { now: Result<"site.config_show">; done: () => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const [lifetimes, setLifetimes] = useState(() => LIFETIMES.map((field) => String(now[field])));
  const [origins, setOrigins] = useState(now.web_origins.join("\n"));
  const doing = useDoing();
  return (
    <div class="body">
      <Form
        doing={doing}
        button={text.common.save}
        look=""
        send={() => {
          // Only what was changed here: another admin may have changed the rest.
          const params: Params<"site.config"> = {};
          LIFETIMES.forEach((field, at) => {
            if (lifetimes[at] === String(now[field])) return;
            const seconds = Number(lifetimes[at]);
            if (!isLength(seconds)) throw mistake(text.settings.seconds, field);
            params[field] = seconds;
          });
          const lines = origins.split(/\s+/).filter(Boolean);
          if (lines.join() !== now.web_origins.join()) params.web_origins = lines;
          return site.call("site.config", params);
        }}
        done={() => {
          say(text.common.saved);
          done();
        }}
      >
        {LIFETIMES.map((field, at) => (
          <Input
            key={field}
            label={text.settings.fields[field]}
            field={field}
            type="number"
            help={<Span seconds={Number(lifetimes[at])} />}
            value={lifetimes[at] ?? ""}
            set={(value) => setLifetimes(lifetimes.with(at, value))}
          />
        ))}
        <Input
          label={text.settings.webOrigins}
          field="web_origins"
          help={text.settings.webOriginsHelp}
          mono
          lines={3}
          value={origins}
          set={setOrigins}
        />
      </Form>
    </div>
  );
}
