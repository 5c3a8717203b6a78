import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { to } from "../../app/router";
import { Act, Button } from "../../parts/button";
import { Select } from "../../parts/form";
import { Marked } from "../../parts/marked";
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

export function Alarms({ place }: { place: string[] }) {
  if (place[0] === "deliveries") return <Deliveries />;
  return place[0] ? <Alarm id={place[0]} /> : <AlarmList />;
}

/** Alarms, newest first. A new one appears by itself. */
function AlarmList() {
  const text = useText();
  const { site, may, say } = useConsole();
  const [state, setState] = useState<"open" | "acknowledged" | "over" | "all">("open");
  const [raising, raise] = useState(false);
  const pages = usePages("alarm.list", state === "all" ? {} : { state }, {
    every: 30_000,
    on: ({ group }) => group === "alarm",
  });
  return (
    <Page
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
            <Act act={() => site.call("alarm.test", {})} done={() => say(text.alarms.tested)}>
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
        <div class="filters">
          <Select
            label={text.alarms.show}
            value={state}
            set={setState}
            options={[
              ["open", text.alarms.filterOpen],
              ["acknowledged", text.alarms.filterAcknowledged],
              ["over", text.alarms.filterOver],
              ["all", text.alarms.filterAll],
            ]}
          />
        </div>
        <div aria-live="polite">
          <List
            caption={text.screens.alarms}
            id={({ id }) => id}
            pages={pages}
            empty={<Empty title={text.alarms.none}>{text.alarms.noneAbout}</Empty>}
            columns={[
              {
                title: text.alarms.text,
                is: "name",
                cell: (alarm) => (
                  <a href={to("alarms", alarm.id)}>
                    <Marked>{alarm.text}</Marked>
                  </a>
                ),
              },
              { title: text.alarms.severity, cell: ({ severity }) => <StateTag state={severity} /> },
              {
                title: text.alarms.state,
                cell: (alarm) => <StateTag state={alarm.state === "open" ? "unacknowledged" : alarm.state} />,
              },
              {
                title: text.alarms.to,
                cell: (alarm) => (alarm.to === "admins" ? text.alarms.admins : alarm.to),
              },
              { title: text.alarms.count, cell: ({ count }) => count },
              { title: text.alarms.last, cell: ({ last }) => <Time at={last} /> },
              {
                title: text.common.actions,
                is: "end",
                cell: (alarm) =>
                  alarm.state === "open" && may("alarm.acknowledge") ? (
                    <Act
                      look="quiet"
                      name={`${text.alarms.acknowledge}: ${alarm.text}`}
                      act={() => site.call("alarm.acknowledge", { id: alarm.id })}
                      done={() => {
                        say(text.alarms.acknowledged);
                        pages.reload();
                      }}
                    >
                      {text.alarms.acknowledge}
                    </Act>
                  ) : null,
              },
            ]}
          />
        </div>
      </section>
      <Preferences />
      {raising ? <RaiseAlarm close={() => raise(false)} done={pages.reload} /> : null}
    </Page>
  );
}
