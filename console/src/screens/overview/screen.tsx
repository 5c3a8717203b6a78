import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { Address } from "../../parts/address";
import { AlarmText, RaisedBy } from "../../parts/alarm-text";
import { Copy } from "../../parts/copy";
import { Marked } from "../../parts/marked";
import { Card, Facts, Page } from "../../parts/page";
import { Shown, sentence } from "../../parts/states";
import { Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useLanguage, useText, wordOf, type Text } from "../../text/catalogue";

interface Finding {
  word: string;
  /** In the words of the site, which are English. */
  words: string;
  where?: string;
}

/** The state of the site at a glance, and what needs attention. */
export function Overview() {
  const text = useText();
  const { may } = useConsole();
  const status = useQuery(
    "site.status",
    {},
    { every: 10_000, on: ({ group }) => group === "lockdown" || group === "alarm" },
  );
  return (
    <Page title={text.screens.overview} about={text.overview.about}>
      <Shown reading={status}>
        {(site) => (
          <>
            <section class="card" aria-label={text.overview.figures}>
              <dl class="figures">
                <div>
                  <dt>{text.overview.key}</dt>
                  <dd>
                    {site.sealed ? (
                      <Tag mood="bad">{text.overview.sealed}</Tag>
                    ) : (
                      <Tag mood="good">{text.overview.unsealed}</Tag>
                    )}
                  </dd>
                </div>
                <div>
                  <dt>{text.screens.lockdown}</dt>
                  <dd>
                    {site.lockdown ? (
                      <Tag mood="bad">{text.lockdown.levels[site.lockdown].name}</Tag>
                    ) : site.locked_down ? null : (
                      <Tag mood="good">{text.overview.noLockdown}</Tag>
                    )}
                    {site.locked_down ? (
                      <a href={to("lockdown")}>
                        <Tag mood="warn">{text.overview.inLockdown(site.locked_down)}</Tag>
                      </a>
                    ) : null}
                  </dd>
                </div>
                {typeof site.sessions === "number" ? (
                  <div>
                    <dt>{text.overview.sessions}</dt>
                    <dd>
                      <Count of={site.sessions} />
                    </dd>
                  </div>
                ) : null}
                {typeof site.audit_entries === "number" ? (
                  <div>
                    <dt>{text.overview.entries}</dt>
                    <dd>
                      <Count of={site.audit_entries} />
                    </dd>
                  </div>
                ) : null}
              </dl>
            </section>
            {may("site.doctor") ? <Findings /> : null}
            {may("alarm.list") ? <OpenAlarms /> : null}
            <Card title={text.overview.site}>
              <div class="body">
                <Facts
                  facts={[
                    [text.overview.zone, site.zone],
                    [text.overview.version, site.version],
                    [
                      text.overview.sessionListener,
                      site.listen.session ? <Address of={site.listen.session} /> : "",
                    ],
                    [
                      text.overview.deviceListener,
                      site.listen.device ? <Address of={site.listen.device} /> : "",
                    ],
                    [text.overview.httpListener, site.listen.http ? <Address of={site.listen.http} /> : ""],
                    [text.overview.siteId, <code>{site.site_id}</code>],
                  ]}
                />
                {site.uri ? <Copy name={text.overview.uri} value={site.uri} /> : null}
              </div>
            </Card>
          </>
        )}
      </Shown>
    </Page>
  );
}

/** The screen on which a problem of a check is solved. */
const SCREEN_OF: Readonly<Record<string, string>> = {
  lockdown: to("lockdown"),
  alarms: to("alarms", "deliveries"),
  "encryption options": to("options"),
  peers: to("peers"),
};

/** What the site finds wrong with itself and with its peers. Only its machine shows the rest: `countersign doctor`. */
function Findings() {
  const text = useText();
  const { may } = useConsole();
  const doctor = useQuery(
    "site.doctor",
    {},
    { every: 30_000, on: ({ group }) => group === "lockdown" || group === "alarm" },
  );
  const peers = useQuery("peer.doctor", {}, { when: may("peer.doctor"), every: 60_000 });
  const reported = peers.data?.findings ?? [];
  // Without a peer it does not matter that the peer server is off.
  const hasPeers = reported.some(({ zone }) => zone);
  return (
    <Card title={text.overview.attention} about={text.overview.attentionAbout}>
      <Shown reading={doctor}>
        {({ checks }) => {
          const found = findings(checks, hasPeers ? reported : [], text);
          return (
            <>
              {found.length === 0 ? (
                <div class="empty">
                  <p class="title">{text.overview.fine}</p>
                  <p>{text.overview.fineAbout}</p>
                </div>
              ) : (
                <ul class="findings">
                  {found.map(({ word, words, where }) => (
                    <li key={word + words}>
                      <Tag mood="warn">{word}</Tag>
                      <span>
                        <span lang="en">
                          <Marked>{words}</Marked>
                        </span>{" "}
                        {where ? <a href={where}>{text.overview.open}</a> : null}
                      </span>
                    </li>
                  ))}
                </ul>
              )}
              <details class="body">
                <summary>{text.overview.checks(checks.length)}</summary>
                <Facts
                  facts={checks.map(({ check, message }) => [
                    nameOf(check, text),
                    <span key={check} lang="en">
                      {sentence(message)}
                    </span>,
                  ])}
                />
              </details>
            </>
          );
        }}
      </Shown>
    </Card>
  );
}

const nameOf = (check: string, { overview }: Text): string => wordOf(overview.checkNames, check);

function findings(
  checks: Result<"site.doctor">["checks"],
  peers: Result<"peer.doctor">["findings"],
  text: Text,
): Finding[] {
  const said = (...parts: (string | null | undefined)[]): string =>
    parts.flatMap((part) => (part ? [sentence(part)] : [])).join(" ");
  return [
    ...checks
      // The findings say more than the check that sums them up.
      .filter(({ ok, check }) => !ok && (check !== "peers" || peers.length === 0))
      .map(({ check, message, hint }) => ({
        word: nameOf(check, text),
        words: said(message, hint),
        ...(SCREEN_OF[check] ? { where: SCREEN_OF[check] } : {}),
      })),
    ...peers
      .filter(({ cause }) => cause)
      .map(({ zone, cause, next }) => ({
        word: text.overview.peer,
        words: said(zone ? `${zone}: ${cause}` : cause, next),
        where: to("peers"),
      })),
  ];
}

/** The number of alarms on the overview. */
const SHOWN = 5;

/** A number as the language writes it. */
function Count({ of }: { of: number }) {
  return <>{new Intl.NumberFormat(useLanguage()).format(of)}</>;
}

/** The most severe alarms, of equal ones the newest. The site lists the newest first. */
function mostSevere(alarms: Result<"alarm.list">["entries"]): Result<"alarm.list">["entries"] {
  const severity = ["critical", "warning", "info"] as const;
  return severity.flatMap((wanted) => alarms.filter((alarm) => alarm.severity === wanted)).slice(0, SHOWN);
}

function OpenAlarms() {
  const text = useText();
  const alarms = useQuery(
    "alarm.list",
    { state: "open", limit: 100 },
    { every: 30_000, on: ({ group }) => group === "alarm" },
  );
  return (
    <Card title={text.overview.alarms} actions={<a href={to("alarms")}>{text.overview.allAlarms}</a>}>
      <Shown reading={alarms}>
        {({ entries }) =>
          entries.length === 0 ? (
            <div class="empty">
              <p class="title">{text.alarms.none}</p>
            </div>
          ) : (
            <ul class="findings">
              {mostSevere(entries).map((alarm) => (
                <li key={alarm.id}>
                  <Tag
                    mood={
                      alarm.severity === "critical" ? "bad" : alarm.severity === "warning" ? "warn" : "plain"
                    }
                  >
                    {text.states[alarm.severity]}
                  </Tag>
                  <span class="break">
                    <a href={to("alarms", alarm.id)}>
                      <AlarmText alarm={alarm} />
                    </a>{" "}
                    <span class="soft small">
                      <RaisedBy alarm={alarm} />, <Time at={alarm.last} />
                    </span>
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Shown>
    </Card>
  );
}
