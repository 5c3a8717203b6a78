import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages, useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { Address } from "../../parts/address";
import { Act, Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { LiftInRow, StateTags } from "../../parts/in-lockdown";
import { Marked } from "../../parts/marked";
import { Card, Facts, Page } from "../../parts/page";
import { Empty, Shown, sentence } from "../../parts/states";
import { List } from "../../parts/table";
import { None, Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { JoinPeer, PeerTicket } from "./introduce";
import { Peer } from "./peer";

export function Peers({ place }: { place: string[] }) {
  return place[0] ? <Peer site={place[0]} /> : <PeerList />;
}

/** Other sites that this one trusts, and the server that they connect to. */
function PeerList() {
  const text = useText();
  const { may } = useConsole();
  const [open, setOpen] = useState<"ticket" | "join">();
  const pages = usePages("peer.list", {}, { every: 10_000 });
  return (
    <Page
      wide
      title={text.screens.peers}
      about={text.peers.about}
      actions={
        <>
          {may("peer.join") ? <Button onClick={() => setOpen("join")}>{text.peers.join}</Button> : null}
          {may("peer.ticket") ? (
            <Button look="main" onClick={() => setOpen("ticket")}>
              {text.peers.ticket}
            </Button>
          ) : null}
        </>
      }
    >
      <Server />
      <section class="card">
        <List
          caption={text.screens.peers}
          id={({ site }) => site}
          pages={pages}
          empty={<Empty title={text.peers.none}>{text.peers.noneAbout}</Empty>}
          columns={[
            {
              title: text.peers.zone,
              is: "name",
              cell: ({ site, zone }) => <a href={to("peers", site)}>{zone}</a>,
            },
            {
              title: text.peers.site,
              cell: ({ site }) => (
                <code class="whole" title={site}>
                  {site.slice(0, 12)}…
                </code>
              ),
            },
            {
              title: text.peers.state,
              cell: (peer) => <StateTags of={peer} reason />,
            },
            {
              title: text.peers.connections,
              cell: ({ connections }) =>
                connections.map((side) => text.peers.sides[side]).join(", ") || (
                  <span class="soft">{text.peers.notConnected}</span>
                ),
            },
            {
              title: text.peers.seen,
              cell: ({ last_seen }) => (last_seen ? <Time at={last_seen} /> : <None />),
            },
            {
              title: text.common.actions,
              is: "end",
              cell: (peer) => (
                <LiftInRow of={peer} name={peer.zone} lifts={{ peer: peer.site }} done={pages.reload} />
              ),
            },
          ]}
        />
      </section>
      {open === "ticket" ? <PeerTicket close={() => setOpen(undefined)} done={pages.reload} /> : null}
      {open === "join" ? <JoinPeer close={() => setOpen(undefined)} done={pages.reload} /> : null}
    </Page>
  );
}

/** The setting with the address of the peer server. */
const LISTEN = "listen.peer";

/** The peer server: started and stopped here. One that cannot listen can be stopped, and be started once more. */
function Server() {
  const text = useText();
  const { site, zone, may } = useConsole();
  const reading = useQuery("peer.status", {}, { every: 10_000 });
  const server = reading.data;
  // A server that was stopped needs no reason.
  const fails = server !== undefined && !server.listens && server.state !== "stopped";
  const after = server?.state;
  const doctor = useQuery("peer.doctor", {}, { when: fails && may("peer.doctor"), after });
  const config = useQuery("config.list", {}, { when: fails && may("config.list"), after });
  const found = fails ? doctor.data?.findings.find(({ of }) => of === "server") : undefined;
  const address = fails ? config.data?.settings.find(({ key }) => key === LISTEN)?.value : undefined;
  return (
    <Card
      title={text.peers.server}
      about={text.peers.serverAbout}
      actions={
        server ? (
          <>
            {server.wanted && may("peer.stop") ? (
              <Confirm
                target={zone}
                typed={false}
                title={text.peers.stopTitle}
                explanation={text.peers.stopAbout}
                act={() => site.call("peer.stop", {})}
                said={text.peers.stopped}
                done={reading.reload}
              >
                {text.peers.stop}
              </Confirm>
            ) : null}
            {!server.listens && may("peer.start") ? (
              <Act
                look="main"
                act={() => site.call("peer.start", {})}
                said={({ state }) => (state === "running" ? text.peers.started : text.peers.notStarted)}
                done={reading.reload}
              >
                {text.peers.start}
              </Act>
            ) : null}
          </>
        ) : null
      }
    >
      <Shown reading={reading}>
        {(server) => (
          <div class="body">
            <Facts
              facts={[
                [
                  text.peers.state,
                  server.wanted ? (
                    server.listens ? (
                      <Tag mood="good">{text.peers.running}</Tag>
                    ) : (
                      <Tag mood="warn">{text.peers.notListening}</Tag>
                    )
                  ) : (
                    <Tag mood="plain">{text.peers.off}</Tag>
                  ),
                ],
                [
                  text.peers.configured,
                  typeof address === "string" ? <code class="break">{address}</code> : "",
                ],
                [
                  text.peers.why,
                  found?.cause ? (
                    <span lang="en">
                      <Marked>{sentence(found.cause)}</Marked>
                    </span>
                  ) : (
                    ""
                  ),
                ],
                [
                  text.peers.remedy,
                  found?.next ? (
                    <span lang="en">
                      <Marked>{sentence(found.next)}</Marked>
                    </span>
                  ) : (
                    ""
                  ),
                ],
                [text.peers.listens, server.listens ? <Address of={server.listens} /> : ""],
                [text.peers.address, server.address ? <Address of={server.address} /> : ""],
              ]}
            />
          </div>
        )}
      </Shown>
    </Card>
  );
}
