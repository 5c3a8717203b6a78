import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { Button } from "../../parts/button";
import { useAccountFilter } from "../../parts/filter";
import { Page } from "../../parts/page";
import { useText } from "../../text/catalogue";
import { DeviceTable } from "./device-table";
import { IssueTicket } from "./issue-ticket";
import { TicketTable } from "./ticket-table";

/** Devices and the tickets that enrol them. */
export function Devices() {
  const text = useText();
  const { me, may } = useConsole();
  const [issuing, issue] = useState(false);
  const [renewed, renew] = useState(0);
  const [person, filter] = useAccountFilter(text.tickets.person, ["person"]);
  const admin = me.role === "admin";
  const shown = person ? { person } : {};
  return (
    <Page
      wide
      title={text.screens.devices}
      about={admin ? text.devices.screenAbout : text.devices.screenAboutOwn}
      actions={
        may("ticket.issue") ? (
          <Button look="main" onClick={() => issue(true)}>
            {text.devices.enrol}
          </Button>
        ) : null
      }
    >
      {filter}
      <DeviceTable {...shown} all renewed={renewed} />
      <TicketTable {...shown} all renewed={renewed} />
      {issuing ? (
        <IssueTicket
          kind="device"
          {...(admin ? {} : { person: me.name })}
          close={() => issue(false)}
          done={() => renew((count) => count + 1)}
        />
      ) : null}
    </Page>
  );
}
