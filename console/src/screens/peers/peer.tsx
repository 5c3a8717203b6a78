import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { go, to } from "../../app/router";
import { Act } from "../../parts/button";
import { Card, Facts, Page } from "../../parts/page";
import { Removals } from "../../parts/removals";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { StateTag, Tag } from "../../parts/tag";
import { Exact, Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Shows = Result<"peer.show">;

export function Peer({ site: id }: { site: string }) {
  const text = useText();
  const { site } = useConsole();
  const reading = useQuery("peer.show", { peer: id }, { every: 10_000 });
  const peer = reading.data;
  return (
    <Page
      title={peer?.zone ?? id}
      back={{ href: to("peers"), words: text.screens.peers }}
      actions={
        peer?.state === "suspended" ? (
          <Act look="main" act={() => site.call("peer.resume", { peer: id })} done={reading.reload}>
            {text.peers.resume}
          </Act>
        ) : null
      }
    >
      <Shown reading={reading}>
        {(shown) => (
          <>
            <Card
              title={text.peers.facts}
              actions={
                <Act
                  look="quiet"
                  act={() =>
                    site.call("peer.permit", {
                      peer: id,
                      allows: shown.allows.includes("messages") ? [] : ["messages"],
                    })
                  }
                  done={reading.reload}
                >
                  {shown.allows.includes("messages") ? text.peers.forbidMessages : text.peers.allowMessages}
                </Act>
              }
            >
              <div class="body">
                <Facts
                  facts={[
                    [
                      text.peers.state,
                      shown.in_lockdown ? (
                        <Tag mood="bad">{text.screens.lockdown}</Tag>
                      ) : (
                        <StateTag state={shown.state} />
                      ),
                    ],
                    [text.peers.why, shown.why],
                    [
                      text.peers.connections,
                      shown.connections.map((side) => text.peers.sides[side]).join(", ") ||
                        text.peers.notConnected,
                    ],
                    [text.peers.allows, shown.allows.length ? text.peers.messages : text.peers.nothing],
                    [text.peers.address, <code>{shown.address}</code>],
                    [text.peers.joinedAt, <Exact at={shown.joined} />],
                    [text.peers.seen, shown.last_seen ? <Time at={shown.last_seen} /> : ""],
                    [text.peers.counts, text.peers.sentReceived(shown.sent, shown.received)],
                    [text.peers.site, <code>{shown.site}</code>],
                    [text.peers.key, <code>{shown.key}</code>],
                    [text.peers.keyEvent, String(shown.key_event)],
                  ]}
                />
              </div>
            </Card>
            <Card title={text.peers.introductions}>
              <Table
                caption={text.peers.introductions}
                entries={shown.introductions}
                id={({ at, own }) => at + own}
                columns={[
                  { title: text.peers.own, is: "name", cell: ({ own }) => own },
                  { title: text.peers.other, cell: ({ other }) => other },
                  { title: text.peers.at, cell: ({ at }) => <Exact at={at} /> },
                ]}
              />
            </Card>
            <Danger peer={shown} reload={reading.reload} />
          </>
        )}
      </Shown>
    </Page>
  );
}

function Danger({ peer, reload }: { peer: Shows; reload: () => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const { zone, state, site: id } = peer;
  return (
    <Removals
      target={zone}
      removals={[
        {
          needs: "peer.suspend",
          when: state === "active",
          light: true,
          reasoned: true,
          words: text.peers.suspend,
          title: text.peers.suspendTitle(zone),
          about: text.peers.suspendAbout,
          act: (reason) => site.call("peer.suspend", { peer: id, reason }),
          done: reload,
        },
        {
          needs: "lockdown.peer",
          when: !peer.in_lockdown,
          reasoned: true,
          words: text.people.lockdown,
          title: text.people.lockdownTitle(zone),
          about: text.peers.lockdownAbout,
          act: (reason) => site.call("lockdown.peer", { peer: id, reason }),
          done: () => {
            say(text.lockdown.imposed(zone));
            reload();
          },
        },
        {
          needs: "peer.remove",
          when: state !== "removed",
          words: text.peers.remove,
          title: text.peers.removeTitle(zone),
          about: text.peers.removeAbout,
          act: () => site.call("peer.remove", { peer: id }),
          done: reload,
        },
        {
          needs: "peer.forget",
          when: state === "removed",
          words: text.peers.forget,
          title: text.peers.forgetTitle(zone),
          about: text.peers.forgetAbout,
          act: () => site.call("peer.forget", { peer: id }),
          done: () => go("peers"),
        },
      ]}
    />
  );
}
