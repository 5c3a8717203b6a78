import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { Act } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Copy } from "../../parts/copy";
import { Card } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact } from "../../parts/time";
import { useText } from "../../text/catalogue";

/** The site's keys as broker, which applications need to know. */
export function Broker() {
  const text = useText();
  const { site, may } = useConsole();
  const reading = useQuery("broker.key_list", {});
  const shown = useQuery("broker.show", {}, { after: reading.data });
  return (
    <Card
      title={text.broker.title}
      about={text.broker.about}
      actions={
        may("broker.key_new") ? (
          <Act
            look="quiet"
            act={() => site.call("broker.key_new", {})}
            said={text.broker.added}
            done={reading.reload}
          >
            {text.broker.add}
          </Act>
        ) : null
      }
    >
      <Shown reading={reading}>
        {({ keys }) => (
          <Table
            caption={text.broker.title}
            entries={keys}
            id={({ fingerprint }) => fingerprint}
            columns={[
              {
                title: text.applications.fingerprint,
                is: "name",
                cell: ({ fingerprint }) => <code class="id">{fingerprint}</code>,
              },
              { title: text.applications.edition, cell: ({ edition }) => <code>{edition}</code> },
              { title: text.applications.added, cell: ({ added }) => <Exact at={added} /> },
              {
                title: text.common.actions,
                is: "end",
                cell: ({ fingerprint }) =>
                  keys.length > 1 && may("broker.key_retire") ? (
                    <Confirm
                      look="quiet danger"
                      target={fingerprint.slice(0, 8)}
                      title={text.broker.retireTitle}
                      explanation={text.broker.retireAbout}
                      act={() => site.call("broker.key_retire", { fingerprint })}
                      said={text.broker.retired}
                      done={reading.reload}
                    >
                      {text.broker.retire}
                    </Confirm>
                  ) : null,
              },
            ]}
          />
        )}
      </Shown>
      {shown.data ? (
        <div class="body">
          <p>
            {text.broker.id} <strong>{shown.data.id}</strong>
          </p>
          <Copy name={text.broker.publicKeys} value={shown.data.public_keys.join("\n").trim()} />
        </div>
      ) : null}
    </Card>
  );
}
