import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { to } from "../../app/router";
import { AlarmText, RaisedBy } from "../../parts/alarm-text";
import { Act, Button } from "../../parts/button";
import { Page } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { StateTag } from "../../parts/tag";
import { Time } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { Alarm } from "./alarm";
import { Deliveries } from "./deliveries";
import { Preferences } from "./preferences";
import { RaiseAlarm } from "./raise-alarm";
import { Acknowledge, AlarmState, useStateFilter } from "./shared";

export function Alarms({ place }: { place: string[] }) {
  if (place[0] === "deliveries") return <Deliveries />;
  return place[0] ? <Alarm id={place[0]} /> : <AlarmList />;
}

/** Alarms, newest first. A new one appears by itself. */
function AlarmList() {
  const text = useText();
  const { site, may } = useConsole();
  const [params, filter] = useStateFilter("open", [
    ["open", text.alarms.filterOpen],
    ["acknowledged", text.alarms.filterAcknowledged],
    ["over", text.alarms.filterOver],
  ]);
  const [raising, raise] = useState(false);
  const pages = usePages("alarm.list", params, {
    every: 30_000,
    on: ({ group }) => group === "alarm",
  });
  return (
    <Page
      wide
      title={text.screens.alarms}
      about={text.alarms.about}
      actions={
        <>
          {may("alarm.deliveries") ? (
            <a class="button" href={to("alarms", "deliveries")}>
              {text.alarms.deliveries}
            </a>
          ) : null}
          {may("alarm.test") ? (
            <Act act={() => site.call("alarm.test", {})} said={text.alarms.tested}>
              {text.alarms.test}
            </Act>
          ) : null}
          {may("alarm.raise") ? (
            <Button look="main" onClick={() => raise(true)}>
              {text.alarms.raise}
            </Button>
          ) : null}
        </>
      }
    >
      <section class="card">
        {filter}
        <List
          caption={text.screens.alarms}
          id={({ id }) => id}
          row={(alarm) => [alarm.text, alarm.raised_by]}
          pages={pages}
          empty={<Empty title={text.alarms.none}>{text.alarms.noneAbout}</Empty>}
          columns={[
            {
              title: text.alarms.text,
              is: "name",
              cell: (alarm) => (
                <>
                  <a class="break" href={to("alarms", alarm.id)}>
                    <AlarmText alarm={alarm} />
                  </a>
                  <div class="small soft break">
                    <RaisedBy alarm={alarm} />
                  </div>
                </>
              ),
            },
            { title: text.alarms.severity, cell: ({ severity }) => <StateTag state={severity} /> },
            { title: text.alarms.state, cell: ({ state }) => <AlarmState state={state} /> },
            {
              title: text.alarms.to,
              cell: (alarm) => (alarm.to === "admins" ? text.alarms.admins : alarm.to),
            },
            { title: text.alarms.count, cell: ({ count }) => count },
            { title: text.alarms.last, cell: ({ last }) => <Time at={last} /> },
            {
              title: text.common.actions,
              is: "end",
              cell: (alarm, row) => (
                <Acknowledge alarm={alarm} row={row} look="quiet" reload={pages.reload} />
              ),
            },
          ]}
        />
      </section>
      <Preferences />
      {raising ? <RaiseAlarm close={() => raise(false)} done={pages.reload} /> : null}
    </Page>
  );
}
