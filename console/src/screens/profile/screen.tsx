import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { FormDialog } from "../../parts/form-dialog";
import { NewPassPhraseFields, checkNewPassPhrase } from "../../parts/new-pass-phrase";
import { Card, Facts, Page } from "../../parts/page";
import { useProof } from "../../parts/proof-field";
import { Shown } from "../../parts/states";
import { Exact } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { DeviceTable } from "../devices/device-table";
import { IssueTicket } from "../devices/issue-ticket";
import { ContactCard } from "../people/contact-card";
import { JoinPeer, PeerTicket } from "../peers/introduce";
import { SessionTable } from "../sessions/session-table";

/** One's own account: data, pass phrase, devices, sessions. */
export function Profile() {
  const text = useText();
  const { me, may } = useConsole();
  const own = useQuery("self.show", {});
  const [open, setOpen] = useState<"passphrase" | "device" | "ticket" | "join">();
  const [renewed, renew] = useState(0);
  return (
    <Page
      title={text.screens.profile}
      about={text.profile.about}
      actions={
        <>
          {may("ticket.issue") ? (
            <Button onClick={() => setOpen("device")}>{text.devices.enrol}</Button>
          ) : null}
          {may("self.passphrase_start") ? (
            <Button look="main" onClick={() => setOpen("passphrase")}>
              {text.profile.changePassPhrase}
            </Button>
          ) : null}
        </>
      }
    >
      <div class="two">
        <Card title={text.people.account}>
          <div class="body">
            <Facts
              facts={[
                [text.people.name, me.name],
                [text.people.fullName, me.full_name],
                [text.people.role, text.roles[me.role]],
                [text.people.createdAt, <Exact at={me.created} />],
                [text.people.id, <code>{me.id}</code>],
              ]}
            />
          </div>
        </Card>
        <Shown reading={own}>
          {(now) => (
            <ContactCard
              data={now}
              own
              save={({ attributes: _, ...params }, { site }) => site.call("self.set_data", params)}
              reload={own.reload}
            />
          )}
        </Shown>
      </div>
      {may("device.list") ? <DeviceTable person={me.name} renewed={renewed} /> : null}
      {may("session.list") ? <SessionTable name={me.name} /> : null}
      {may("peer.ticket") && may("peer.join") ? (
        <Card
          title={text.peers.ownTitle}
          about={text.peers.ownAbout}
          actions={
            <>
              <Button look="quiet" onClick={() => setOpen("join")}>
                {text.peers.join}
              </Button>
              <Button look="quiet" onClick={() => setOpen("ticket")}>
                {text.peers.ticket}
              </Button>
            </>
          }
        />
      ) : null}
      {open === "ticket" ? <PeerTicket person={me.name} close={() => setOpen(undefined)} /> : null}
      {open === "join" ? <JoinPeer person={me.name} close={() => setOpen(undefined)} /> : null}
      {open === "passphrase" ? <ChangePassPhrase close={() => setOpen(undefined)} done={own.reload} /> : null}
      {open === "device" ? (
        <IssueTicket
          kind="device"
          person={me.name}
          close={() => setOpen(undefined)}
          done={() => renew(renewed + 1)}
        />
      ) : null}
    </Page>
  );
}

function ChangePassPhrase({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const current = useProof({ help: false });
  const [value, set] = useState({ first: "", again: "" });
  return (
    <FormDialog
      title={text.profile.changePassPhrase}
      about={text.profile.changeAbout}
      button={text.profile.changePassPhrase}
      busy={text.login.busy}
      close={close}
      send={async () => {
        checkNewPassPhrase(value, text);
        await site.changePassPhrase(current.typed(), value.first);
      }}
      said={() => text.profile.changed}
      done={done}
    >
      {current.field}
      <NewPassPhraseFields value={value} set={set} />
    </FormDialog>
  );
}
