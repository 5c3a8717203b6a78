import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { Address } from "../../parts/address";
import { AuditLinks, AccountLink } from "../../parts/account-link";
import { Act } from "../../parts/button";
import { InLockdown, StateTags } from "../../parts/in-lockdown";
import { Marked } from "../../parts/marked";
import { Card, Facts, Page } from "../../parts/page";
import { Removals } from "../../parts/removals";
import { Shown, sentence } from "../../parts/states";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tag";
import { Exact, Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { Limits } from "./limits";
import { Permissions } from "./permissions";

type Shows = Result<"peer.show">;

export function Peer({ site: id }: { site: string }) {
  const text = useText();
  const { site, may } = useConsole();
  const reading = useQuery("peer.show", { peer: id }, { every: 10_000 });
  const peer = reading.data;
  return (
    <Page
      title={peer?.zone ?? id}
      back={{ href: to("peers"), words: text.screens.peers }}
      actions={
        peer?.state === "suspended" && may("peer.resume") ? (
          <Act
            look="main"
            act={() => site.call("peer.resume", { peer: id })}
            said={text.peers.resumed(peer.zone)}
            done={reading.reload}
          >
            {text.peers.resume}
          </Act>
        ) : null
      }
    >
      <Shown reading={reading}>
        {(shown) => (
          <>
            {shown.lockdown ? (
              <InLockdown of={shown} name={shown.zone} lifts={{ peer: shown.site }} done={reading.reload} />
            ) : (
              <Trouble trouble={shown.trouble} />
            )}
            <div class="two">
              <State peer={shown} />
              <div class="stack">
                <Permissions peer={shown} reload={reading.reload} />
                <Logs peer={shown} />
              </div>
            </div>
            <Card title={text.peers.introductions}>
              <Table
                caption={text.peers.introductions}
                entries={shown.introductions}
                id={({ at, own }) => at + own}
                columns={[
                  { title: text.peers.own, is: "name", cell: ({ own }) => <AccountLink name={own} /> },
                  { title: text.peers.other, cell: ({ other }) => other },
                  { title: text.peers.at, cell: ({ at }) => <Exact at={at} /> },
                ]}
              />
            </Card>
            <Card title={text.peers.identity}>
              <div class="body">
                <Facts
                  facts={[
                    [text.peers.site, <code>{shown.site}</code>],
                    [text.peers.key, <code>{shown.key}</code>],
                    [text.peers.keyEvent, String(shown.key_event)],
                    [text.screens.audit, may("audit.list") ? <AuditLinks target={shown.zone} /> : ""],
                  ]}
                />
              </div>
            </Card>
            <Limits limits={shown.limits} breaches={shown.breaches} />
            <Removals of="peer" name={shown.zone} id={shown.site} object={shown} reload={reading.reload} />
          </>
        )}
      </Shown>
    </Page>
  );
}

/** What is wrong with the peer, and what to do. The site's own words are English. */
function Trouble({ trouble }: Pick<Shows, "trouble">) {
  const text = useText();
  if (!trouble) return null;
  const kinds: Readonly<Record<string, string>> = { ...text.states, ...text.peers.trouble.kinds };
  return (
    <div class="note warn stack">
      <p>
        <strong>{kinds[trouble.state] ?? trouble.state}.</strong>{" "}
        <span lang="en">
          <Marked>{sentence(trouble.cause)}</Marked>
        </span>
      </p>
      <p>
        {text.peers.trouble.next}{" "}
        <span lang="en">
          <Marked>{sentence(trouble.next)}</Marked>
        </span>
      </p>
      {trouble.at ? (
        <p class="small">
          {text.peers.trouble.at} <Time at={trouble.at} />
        </p>
      ) : null}
    </div>
  );
}

function State({ peer }: { peer: Shows }) {
  const text = useText();
  const { backoff, told, since } = peer;
  const ended = lastEnd(peer);
  const ends: Readonly<Record<string, string>> = text.peers.ended.kinds;
  return (
    <Card title={text.peers.facts}>
      <div class="body">
        <Facts
          facts={[
            [text.peers.state, <StateTags of={peer} />],
            [text.peers.changedAt, since ? <Since at={since} by={peer.by} /> : ""],
            // Otherwise it is in the note above.
            [text.peers.why, peer.lockdown ? peer.why : ""],
            [
              text.peers.connections,
              peer.connections.map((side) => text.peers.sides[side]).join(", ") || text.peers.notConnected,
            ],
            [
              text.peers.nextAttempt,
              backoff ? (
                <>
                  <Time at={backoff.next} />, {text.peers.afterFailures(backoff.failures)}
                </>
              ) : (
                ""
              ),
            ],
            [text.peers.seen, peer.last_seen ? <Time at={peer.last_seen} /> : text.peers.neverSeen],
            [
              text.peers.ended.title,
              ended ? (
                <>
                  {ends[ended.reason] ?? ended.reason}, <Time at={ended.at} />
                </>
              ) : (
                ""
              ),
            ],
            [text.peers.told.title, told ? <Told told={told} /> : ""],
            [text.peers.counts, text.peers.sentReceived(peer.sent, peer.received)],
            [
              text.peers.address,
              <code>
                <Address of={peer.address} />
              </code>,
            ],
            [text.peers.joinedAt, <Exact at={peer.joined} />],
          ]}
        />
      </div>
    </Card>
  );
}

/** Why the peer ended a connection, unless the two sites have connected since. */
function lastEnd({ ended, connections, last_seen: seen, told }: Shows): Shows["ended"] {
  const isPast = [seen, told?.at].some((at) => at && ended && Date.parse(at) > Date.parse(ended.at));
  return isPast || connections.length > 0 ? undefined : ended;
}

function Since({ at, by }: { at: string; by: string | null | undefined }) {
  const text = useText();
  return (
    <>
      <Exact at={at} />
      {by ? `, ${text.peers.by(by)}` : ""}
    </>
  );
}

/** What the peer last told of itself. */
function Told({ told }: { told: NonNullable<Shows["told"]> }) {
  const text = useText();
  const ahead = Math.round((Date.parse(told.time) - Date.parse(told.at)) / 1000);
  return (
    <>
      {told.version ? text.peers.told.version(told.version) : text.peers.told.noVersion},{" "}
      <Time at={told.at} />
      {ahead ? <div class="small">{text.peers.told.clock(ahead)}</div> : null}
      {told.lockdown ? (
        <div>
          <Tag mood="bad">{text.peers.told.lockdown(text.lockdown.levels[told.lockdown].name)}</Tag>
        </div>
      ) : null}
    </>
  );
}

/** The newest entries of the two audit logs that were countersigned. */
function Logs({ peer: { countersigned, witnessed } }: { peer: Shows }) {
  const text = useText();
  const entry = (head: Shows["countersigned"]) =>
    head ? (
      <>
        {text.peers.logs.entry(head.entry)}, <Time at={head.at} />
      </>
    ) : (
      <span class="soft">{text.peers.logs.none}</span>
    );
  return (
    <Card title={text.peers.logs.title} about={text.peers.logs.about}>
      <div class="body">
        <Facts
          facts={[
            [text.peers.logs.countersigned, entry(countersigned)],
            [text.peers.logs.witnessed, entry(witnessed)],
          ]}
        />
      </div>
    </Card>
  );
}
