import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { AccountLink } from "../../parts/account-link";
import { Confirm } from "../../parts/confirm";
import { Copy } from "../../parts/copy";
import { Choices, Input } from "../../parts/form";
import { Lift } from "../../parts/in-lockdown";
import { Card, Facts, Page } from "../../parts/page";
import { Empty, Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact, Time } from "../../parts/time";
import type { Params, Result } from "../../site/contract";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";

type Shows = Result<"lockdown.status">;
type Entry = Shows["entries"][number];
const LEVELS = ["enrolment", "logins", "all"] as const;
type Level = (typeof LEVELS)[number];

/** Lockdowns in force, and the lockdown of the whole site. */
export function Lockdown() {
  const text = useText();
  const { refresh } = useConsole();
  const reading = useQuery("lockdown.status", {}, { every: 15_000, on: ({ group }) => group === "lockdown" });
  const changed = (): void => {
    reading.reload();
    refresh();
  };
  return (
    <Page wide title={text.screens.lockdown} about={text.lockdown.about}>
      <Shown reading={reading}>
        {(now) => (
          <>
            {now.site ? <InForce site={now.site} /> : null}
            <SiteLockdown {...(now.site?.level ? { level: now.site.level } : {})} changed={changed} />
            <Single entries={now.entries} changed={changed} />
          </>
        )}
      </Shown>
    </Page>
  );
}

function InForce({ site: entry }: { site: NonNullable<Shows["site"]> }) {
  const text = useText();
  return (
    <Card title={text.lockdown.siteInForce} look="stop">
      <div class="body">
        <Facts
          facts={[
            [text.lockdown.level, entry.level ? text.lockdown.levels[entry.level].name : ""],
            [text.lockdown.by, entry.by],
            [text.lockdown.since, <Exact at={entry.since} />],
            [text.lockdown.reason, entry.reason],
          ]}
        />
        <p>{text.lockdown.liftLocally}</p>
        <Copy name={text.tickets.command} value="countersign lockdown lift site" />
      </div>
    </Card>
  );
}

function SiteLockdown({ level, changed }: { level?: Level; changed: () => void }) {
  const text = useText();
  const { site, zone, may } = useConsole();
  const possible = LEVELS.filter((candidate) => !level || LEVELS.indexOf(candidate) > LEVELS.indexOf(level));
  const [chosen, choose] = useState<Level>("logins");
  const [reason, setReason] = useState("");
  const wanted = possible.includes(chosen) ? chosen : possible[0];
  if (!wanted || !may("lockdown.site")) return null;
  return (
    <Card
      title={level ? text.lockdown.raise : text.lockdown.site}
      about={text.lockdown.siteAbout}
      look="stop"
    >
      <div class="body">
        <Choices
          label={text.lockdown.level}
          value={wanted}
          set={choose}
          options={possible.map(
            (each) => [each, text.lockdown.levels[each].name, text.lockdown.levels[each].about] as const,
          )}
        />
        <Input
          label={text.lockdown.reason}
          field="reason"
          help={text.lockdown.reasonHelp}
          value={reason}
          set={setReason}
        />
        <div class="buttons">
          <Confirm
            look="danger main"
            target={zone}
            title={text.lockdown.siteTitle(text.lockdown.levels[wanted].name)}
            explanation={
              <>
                <p>{text.lockdown.levels[wanted].about}</p>
                <p>{wanted === "all" ? text.lockdown.endsYours : text.lockdown.liftedLocally}</p>
              </>
            }
            act={() => site.call("lockdown.site", { level: wanted, reason })}
            said={text.lockdown.imposed(zone)}
            done={() => {
              setReason("");
              changed();
            }}
          >
            {text.lockdown.impose}
          </Confirm>
        </div>
      </div>
    </Card>
  );
}

/** What `lockdown lift` takes for an entry. An account has an id, since its name may have changed. */
export function lifts({ account, app, peer }: Entry): Params<"lockdown.lift"> {
  if (account) return { account };
  if (peer) return { peer };
  return { app };
}

/** What is in lockdown: its kind, and its name as a link to its page. */
function Target({ of }: { of: string }) {
  const text = useText();
  const { may } = useConsole();
  const [, kind = "", name = ""] = /^(\w+) (.+)$/s.exec(of) ?? [];
  if (kind === "person" || kind === "service")
    return (
      <>
        {kind === "person" ? text.devices.person : text.tokens.service} <AccountLink name={name} is={kind} />
      </>
    );
  if (kind !== "app" && kind !== "peer") return <strong>{of}</strong>;
  const [words, place] =
    kind === "app" ? [text.applications.id, "applications"] : [text.overview.peer, "peers"];
  return (
    <>
      {words}{" "}
      {may(`${kind}.show`) ? (
        <a class="break" href={to(place, name)}>
          {name}
        </a>
      ) : (
        <span class="break">{name}</span>
      )}
    </>
  );
}

function Single({ entries, changed }: { entries: readonly Entry[]; changed: () => void }) {
  const text = useText();
  return (
    <Card title={text.lockdown.single} about={text.lockdown.singleAbout}>
      {entries.length === 0 ? (
        <Empty title={text.lockdown.none}>{text.lockdown.noneAbout}</Empty>
      ) : (
        <Table
          caption={text.lockdown.single}
          entries={entries}
          id={({ target, since }) => target + since}
          columns={[
            { title: text.lockdown.target, is: "name", cell: ({ target }) => <Target of={target} /> },
            { title: text.lockdown.by, cell: ({ by }) => by },
            { title: text.lockdown.since, cell: ({ since }) => <Time at={since} /> },
            {
              title: text.lockdown.reason,
              cell: ({ reason }) => <span class="break">{reason || <None />}</span>,
            },
            {
              title: text.common.actions,
              is: "end",
              cell: (entry) => <Lift name={entry.target} lifts={lifts(entry)} look="quiet" done={changed} />,
            },
          ]}
        />
      )}
    </Card>
  );
}
