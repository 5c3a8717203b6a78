import type { ComponentChildren } from "preact";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { Copy } from "../../parts/copy";
import { Marked } from "../../parts/marked";
import { Card, Facts, Page } from "../../parts/page";
import { Shown, sentence } from "../../parts/states";
import { Tag, type Mood } from "../../parts/tag";
import { Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText, type Text } from "../../text/catalogue";

type Status = Result<"site.status">;
interface Finding {
  mood: Mood;
  word: string;
  words: ComponentChildren;
  where?: string;
}

/** The state of the site at a glance, and what needs attention. */
export function Overview() {
  const text = useText();
  const { me, may } = useConsole();
  const admin = me.role === "admin";
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
                    ) : (
                      <Tag mood="good">{text.overview.noLockdown}</Tag>
                    )}
                  </dd>
                </div>
                {typeof site.sessions === "number" ? (
                  <div>
                    <dt>{text.overview.sessions}</dt>
                    <dd>{site.sessions}</dd>
                  </div>
                ) : null}
                {typeof site.audit_entries === "number" ? (
                  <div>
                    <dt>{text.overview.entries}</dt>
                    <dd>{site.audit_entries}</dd>
                  </div>
                ) : null}
              </dl>
            </section>
            {admin ? <Findings site={site} /> : null}
            {may("alarm.list") ? <OpenAlarms /> : null}
            <Card title={text.overview.site}>
              <div class="body">
                <Facts
                  facts={[
                    [text.overview.zone, site.zone],
                    [text.overview.version, site.version],
                    [text.overview.sessionListener, site.listen.session],
                    [text.overview.deviceListener, site.listen.device],
                    [text.overview.httpListener, site.listen.http],
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

/** What the site itself can tell of its problems. The full check is `countersign doctor` at the machine. */
function Findings({ site }: { site: Status }) {
  const text = useText();
  const { may } = useConsole();
  const peers = useQuery("peer.doctor", {}, { when: may("peer.doctor"), every: 60_000 });
  const findings: Finding[] = siteFindings(site, text);
  const reported = peers.data?.findings ?? [];
  // Without a peer it does not matter that the peer server is off.
  const hasPeers = reported.some(({ zone }) => zone);
  for (const found of hasPeers ? reported : []) {
    if (!found.cause) continue;
    findings.push({
      mood: "warn",
      word: text.overview.peer,
      words: (
        <span lang="en">
          {found.zone ? `${found.zone}: ` : ""}
          <Marked>{`${sentence(found.cause)} ${found.next ? sentence(found.next) : ""}`}</Marked>
        </span>
      ),
      where: to("peers"),
    });
  }
  return (
    <Card title={text.overview.attention} about={text.overview.attentionAbout}>
      {findings.length === 0 ? (
        <div class="empty">
          <p class="title">{text.overview.fine}</p>
          <p>{text.overview.fineAbout}</p>
        </div>
      ) : (
        <ul class="findings">
          {findings.map((finding, at) => (
            <li key={at}>
              <Tag mood={finding.mood}>{finding.word}</Tag>
              <span>
                {typeof finding.words === "string" ? <Marked>{finding.words}</Marked> : finding.words}{" "}
                {finding.where ? <a href={finding.where}>{text.overview.open}</a> : null}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function siteFindings(site: Status, text: Text): Finding[] {
  const { overview } = text;
  const findings: Finding[] = [];
  if (site.sealed) findings.push({ mood: "bad", word: overview.key, words: overview.sealedFinding });
  if (site.lockdown)
    findings.push({
      mood: "bad",
      word: text.screens.lockdown,
      words: overview.lockdownFinding,
      where: to("lockdown"),
    });
  if (site.locked_down)
    findings.push({
      mood: "warn",
      word: text.screens.lockdown,
      words: overview.lockedDown(site.locked_down),
      where: to("lockdown"),
    });
  const delivery = site.delivery;
  if (delivery) {
    if (!delivery.email && !delivery.text)
      findings.push({ mood: "plain", word: overview.delivery, words: overview.noChannel });
    if (delivery.late)
      findings.push({
        mood: "warn",
        word: overview.delivery,
        words: overview.late(delivery.oldest_error ?? ""),
        where: to("alarms", "deliveries"),
      });
    if (delivery.dead > 0)
      findings.push({
        mood: "warn",
        word: overview.delivery,
        words: overview.dead(delivery.dead),
        where: to("alarms", "deliveries"),
      });
  }
  return findings;
}

function OpenAlarms() {
  const text = useText();
  const alarms = useQuery(
    "alarm.list",
    { state: "open", limit: 5 },
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
              {entries.map((alarm) => (
                <li key={alarm.id}>
                  <Tag
                    mood={
                      alarm.severity === "critical" ? "bad" : alarm.severity === "warning" ? "warn" : "plain"
                    }
                  >
                    {text.states[alarm.severity]}
                  </Tag>
                  <span>
                    <a href={to("alarms", alarm.id)}>
                      <Marked>{alarm.text}</Marked>
                    </a>{" "}
                    <span class="soft small">
                      <Time at={alarm.last} />
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
