import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { filtered, to, useFilter } from "../../app/router";
import { Account } from "../../parts/account-link";
import { Act, Button } from "../../parts/button";
import { save } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { Filters, useAccounts } from "../../parts/filter";
import { Input } from "../../parts/form";
import { Facts, Page } from "../../parts/page";
import { Empty, Failed, Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { StateTag } from "../../parts/tag";
import { Exact } from "../../parts/time";
import type { Params, Result } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { Verified } from "./verified";

type Entry = Result<"audit.list">["entries"][number];

const PAGE = 50;

/** Ids are long; the details have them whole. */
const short = (target: string | null | undefined): string =>
  target && /^[\w-]{30,}$/.test(target) ? `${target.slice(0, 8)}…${target.slice(-4)}` : (target ?? "–");

/** The time in the form of the site; nothing for one that a date cannot have. */
const stamp = (typed: string): string | undefined => {
  const time = new Date(typed);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
};

const NONE = { actor: "", operation: "", target: "", since: "", until: "", pages: "" };
type Typed = typeof NONE;

/** What the site filters by, for the list and for the export. */
function filterOf(typed: Typed): Params<"audit.export"> {
  const filter: Params<"audit.export"> = {};
  for (const field of ["actor", "operation", "target"] as const) {
    const text = typed[field].trim();
    if (text) filter[field] = field === "operation" ? text.toLowerCase() : text;
  }
  for (const field of ["since", "until"] as const) {
    const time = stamp(typed[field]);
    if (time) filter[field] = time;
  }
  return filter;
}

/** The audit log, newest first: filtered, verified, exported. */
export function Audit() {
  const text = useText();
  const { site, may } = useConsole();
  const [typed, setTyped] = useFilter(NONE);
  /** The pages that led to the one that is shown, each by the number of the entry that it ends before. */
  const trail = typed.pages.split(",").filter(Boolean).map(Number).filter(Number.isSafeInteger);
  const setTrail = (pages: readonly number[]): void => setTyped({ pages: pages.join(",") });
  const [shown, show] = useState<Entry>();
  const [found, setFound] = useState<Result<"audit.verify">>();
  const verifying = useDoing();
  const [askingPeers, askPeers] = useState(false);
  const filter = filterOf(typed);
  const params: Params<"audit.list"> = { limit: PAGE, ...filter };
  const before = trail.at(-1);
  if (before !== undefined) params.before = before;
  const reading = useQuery("audit.list", params, before === undefined ? { every: 15_000 } : {});
  const verify = (peers: boolean): void => {
    if (!verifying.busy) askPeers(peers);
    void verifying.run(async () => setFound(await site.call("audit.verify", { peers })));
  };
  const { pages: _, ...without } = NONE;
  const { pages: __, ...given } = typed;
  return (
    <Page
      wide
      title={text.screens.audit}
      about={text.audit.about}
      actions={
        <>
          {may("audit.verify") ? (
            <>
              <Button busy={verifying.busy} onClick={() => verify(false)}>
                {verifying.busy && !askingPeers ? text.audit.verifying : text.audit.verify}
              </Button>
              <Button busy={verifying.busy} onClick={() => verify(true)}>
                {verifying.busy && askingPeers ? text.audit.verifying : text.audit.verifyPeers}
              </Button>
            </>
          ) : null}
          {may("audit.export") ? (
            <Act
              act={async () => {
                const { content } = await site.content("audit.export", filter);
                save("audit.jsonl", content);
              }}
              said={text.audit.exported}
            >
              {Object.keys(filter).length > 0 ? text.audit.exportMatching : text.audit.export}
            </Act>
          ) : null}
        </>
      }
    >
      <div aria-live="polite">
        <Failed failure={verifying.failure} />
        {found ? <Verified found={found} /> : null}
      </div>
      <section class="card" aria-busy={!reading.isCurrent}>
        <Filters
          filter={given}
          none={without}
          set={(next) => setTyped({ ...next, pages: "" })}
          help={text.audit.filterHelp}
          fields={(now, type) => <Fields typed={now} type={type} />}
        />
        <Shown reading={reading}>
          {({ entries, earlier }) =>
            entries.length === 0 ? (
              <Empty title={text.audit.none}>{text.audit.noneAbout}</Empty>
            ) : (
              <>
                <Table
                  caption={text.screens.audit}
                  entries={[...entries].reverse()}
                  id={({ seq }) => String(seq)}
                  columns={[
                    { title: text.audit.number, cell: ({ seq }) => seq },
                    { title: text.audit.time, cell: ({ time }) => <Exact at={time} /> },
                    { title: text.audit.actor, cell: ({ actor }) => <Account name={actor} /> },
                    {
                      title: text.audit.operation,
                      is: "name",
                      cell: (entry) => <code>{entry.operation}</code>,
                    },
                    {
                      title: text.audit.target,
                      cell: ({ target }) => <span class="break">{short(target)}</span>,
                    },
                    { title: text.audit.outcome, cell: ({ outcome }) => <StateTag state={outcome} /> },
                    {
                      title: text.common.actions,
                      is: "end",
                      cell: (entry) => (
                        <Button
                          look="quiet"
                          name={`${text.audit.details} ${entry.seq}`}
                          onClick={() => show(entry)}
                        >
                          {text.audit.details}
                        </Button>
                      ),
                    },
                  ]}
                />
                {trail.length > 0 || typeof earlier === "number" ? (
                  <div class="more">
                    <Button
                      look="quiet"
                      off={trail.length === 0}
                      onClick={() => setTrail(trail.slice(0, -1))}
                    >
                      {text.audit.later}
                    </Button>
                    <Button
                      look="quiet"
                      off={typeof earlier !== "number"}
                      onClick={() => typeof earlier === "number" && setTrail([...trail, earlier])}
                    >
                      {text.audit.earlier}
                    </Button>
                  </div>
                ) : null}
              </>
            )
          }
        </Shown>
      </section>
      {shown ? <Details entry={shown} close={() => show(undefined)} /> : null}
    </Page>
  );
}

interface FieldsProps {
  typed: Omit<Typed, "pages">;
  type: (changed: Partial<Typed>) => void;
}

function Fields({ typed, type }: FieldsProps) {
  const text = useText();
  const { operations } = useConsole();
  const actors = useAccounts(typed.actor, ["person", "service"]);
  /** Each operation, and each group of them. */
  const names = [...new Set(operations.flatMap((one) => [one.slice(0, one.indexOf(".")), one]))].sort();
  return (
    <>
      <Input
        label={text.audit.actor}
        value={typed.actor}
        set={(actor) => type({ actor })}
        suggestions={actors}
      />
      <Input
        label={text.audit.operation}
        value={typed.operation}
        set={(operation) => type({ operation })}
        suggestions={names}
      />
      <Input label={text.audit.target} value={typed.target} set={(target) => type({ target })} />
      <Input
        label={text.audit.since}
        type="datetime-local"
        value={typed.since}
        set={(since) => type({ since })}
      />
      <Input
        label={text.audit.until}
        type="datetime-local"
        value={typed.until}
        set={(until) => type({ until })}
      />
    </>
  );
}

function Details({ entry, close }: { entry: Entry; close: () => void }) {
  const text = useText();
  return (
    <Dialog title={text.audit.entry(entry.seq)} close={close} wide>
      <Facts
        facts={[
          [text.audit.time, <Exact at={entry.time} />],
          [
            text.audit.actor,
            <a href={filtered(to("audit"), { actor: entry.actor })} onClick={close}>
              {entry.actor}
            </a>,
          ],
          [text.audit.channel, <code>{entry.channel}</code>],
          [text.audit.operation, <code>{entry.operation}</code>],
          [
            text.audit.target,
            entry.target ? (
              <a href={filtered(to("audit"), { target: entry.target })} onClick={close}>
                {entry.target}
              </a>
            ) : (
              ""
            ),
          ],
          [text.audit.outcome, <StateTag state={entry.outcome} />],
          ...Object.entries(entry.details).map(
            ([key, value]) =>
              [key, <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>] as const,
          ),
          [text.audit.hash, <code>{entry.hash}</code>],
          [text.audit.previous, <code>{entry.previous}</code>],
        ]}
      />
      <div class="buttons">
        <Button look="main" onClick={close}>
          {text.common.close}
        </Button>
      </div>
    </Dialog>
  );
}
