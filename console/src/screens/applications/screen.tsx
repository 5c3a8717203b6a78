import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { go, to } from "../../app/router";
import { Button } from "../../parts/button";
import { LiftInRow, StateTags } from "../../parts/in-lockdown";
import { Page } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { Application } from "./application";
import { Broker } from "./broker";
import { CanCall } from "./can-call";
import { CreateApplication } from "./application-forms";
import { parties } from "./parties";

export function Applications({ place }: { place: string[] }) {
  return place[0] ? <Application id={place[0]} /> : <ApplicationList />;
}

function ApplicationList() {
  const text = useText();
  const { may } = useConsole();
  const [creating, create] = useState(false);
  const pages = usePages("app.list", {}, { on: ({ group }) => group === "lockdown" });
  return (
    <Page
      wide
      title={text.screens.applications}
      about={text.applications.about}
      actions={
        may("app.create") ? (
          <Button look="main" onClick={() => create(true)}>
            {text.applications.create}
          </Button>
        ) : null
      }
    >
      <section class="card">
        <List
          caption={text.screens.applications}
          id={({ id }) => id}
          pages={pages}
          empty={<Empty title={text.applications.none}>{text.applications.noneAbout}</Empty>}
          columns={[
            {
              title: text.applications.id,
              is: "name",
              cell: ({ id }) => <a href={to("applications", id)}>{id}</a>,
            },
            { title: text.applications.state, cell: (app) => <StateTags of={app} reason /> },
            {
              title: text.applications.mayCall,
              cell: ({ may_call }) =>
                parties(may_call, text).join(", ") || <span class="soft">{text.applications.nothing}</span>,
            },
            {
              title: text.applications.groups,
              cell: ({ groups }) => groups.join(", ") || <None />,
            },
            { title: text.applications.edition, cell: ({ edition }) => <code>{edition}</code> },
            { title: text.applications.keys, cell: ({ keys }) => keys.length },
            {
              title: text.common.actions,
              is: "end",
              cell: (app) => <LiftInRow of={app} name={app.id} lifts={{ app: app.id }} done={pages.reload} />,
            },
          ]}
        />
      </section>
      {may("app.ticket") ? <CanCall /> : null}
      {may("broker.key_list") ? <Broker /> : null}
      {creating ? (
        <CreateApplication close={() => create(false)} done={(id) => go("applications", id)} />
      ) : null}
    </Page>
  );
}
