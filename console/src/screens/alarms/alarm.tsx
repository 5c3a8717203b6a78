import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { AlarmText, raiserOf } from "../../parts/alarm-text";
import { Confirm } from "../../parts/confirm";
import { Card, Facts, Page } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { StateTag } from "../../parts/tag";
import { Exact, Time } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { Acknowledge, AlarmState } from "./shared";

/** One alarm: what happened, how often, and who was told. */
export function Alarm({ id }: { id: string }) {
  const text = useText();
  const { site, may } = useConsole();
  const reading = useQuery(
    "alarm.show",
    { id },
    { on: ({ group, data }) => group === "alarm" && data["id"] === id },
  );
  const alarm = reading.data;
  return (
    <Page
      title={text.alarms.one}
      {...(alarm ? { heading: <AlarmText alarm={alarm} alone /> } : {})}
      back={{ href: to("alarms"), words: text.screens.alarms }}
      actions={
        <>
          {alarm && alarm.state !== "over" && may("alarm.over") ? (
            <Confirm
              look=""
              typed={false}
              target={alarm.text}
              title={text.alarms.endTitle}
              explanation={text.alarms.endAbout}
              act={() => site.call("alarm.over", { id })}
              said={text.alarms.ended}
              done={reading.reload}
            >
              {text.alarms.end}
            </Confirm>
          ) : null}
          {alarm ? <Acknowledge alarm={alarm} look="main" reload={reading.reload} /> : null}
        </>
      }
    >
      <Shown reading={reading}>
        {(shown) => (
          <>
            <Card title={text.alarms.details}>
              <div class="body">
                <Facts
                  facts={[
                    [text.alarms.severity, <StateTag state={shown.severity} />],
                    [text.alarms.state, <AlarmState state={shown.state} />],
                    [text.alarms.raisedBy, raiserOf(shown, text)],
                    [text.alarms.to, shown.to === "admins" ? text.alarms.admins : shown.to],
                    [text.alarms.count, String(shown.count)],
                    [text.alarms.first, <Exact at={shown.first} />],
                    [text.alarms.last, <Exact at={shown.last} />],
                    [
                      text.alarms.acknowledgedBy,
                      shown.acknowledged ? (
                        <>
                          {shown.acknowledged.by}, <Exact at={shown.acknowledged.at} />
                        </>
                      ) : (
                        ""
                      ),
                    ],
                    [text.alarms.escalates, shown.escalates ? <Exact at={shown.escalates} /> : ""],
                    [text.alarms.endedAt, shown.ended ? <Exact at={shown.ended} /> : ""],
                    [
                      text.alarms.messages,
                      shown.deliveries
                        ? text.alarms.messageCounts(
                            shown.deliveries.sent,
                            shown.deliveries.waiting,
                            shown.deliveries.dead,
                          )
                        : "",
                    ],
                    [text.alarms.key, <code>{shown.key}</code>],
                    [
                      text.alarms.data,
                      shown.data === undefined || shown.data === null ? (
                        ""
                      ) : (
                        <code>{JSON.stringify(shown.data)}</code>
                      ),
                    ],
                  ]}
                />
              </div>
            </Card>
            <Card title={text.alarms.recipients}>
              <Table
                caption={text.alarms.recipients}
                entries={shown.recipients}
                id={({ name }) => name}
                columns={[
                  { title: text.people.name, is: "name", cell: ({ name }) => name },
                  {
                    title: text.alarms.acknowledgedAt,
                    cell: ({ acknowledged }) =>
                      acknowledged ? (
                        <Time at={acknowledged} />
                      ) : (
                        <span class="soft">{text.alarms.notYet}</span>
                      ),
                  },
                ]}
              />
            </Card>
          </>
        )}
      </Shown>
    </Page>
  );
}
