import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { AccountLink } from "../../parts/account-link";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { FormDialog } from "../../parts/form-dialog";
import { Input } from "../../parts/form";
import { Card } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { None, Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Device = Result<"device.list">["entries"][number];

interface Props {
  /** The person whose devices are shown; absent for those of all. */
  person?: string;
  /** The list is of all people, or of one that was chosen. */
  all?: boolean;
  /** Reads again when it changes. */
  renewed?: number;
}

/** Devices of one person, or of all. */
export function DeviceTable({ person, all = false, renewed = 0 }: Props) {
  const text = useText();
  const { site, me, may } = useConsole();
  const [renaming, rename] = useState<Device>();
  const pages = usePages("device.list", person ? { person } : {}, { every: 10_000, after: renewed });
  return (
    <Card title={text.screens.devices} about={text.devices.about}>
      <List
        caption={text.screens.devices}
        id={({ id }) => id}
        row={({ name, thumbprint, ...device }) => [
          name,
          [all ? device.person : "", thumbprint.slice(0, 12)].filter(Boolean).join(", "),
        ]}
        pages={pages}
        empty={<Empty title={text.devices.none}>{text.devices.noneAbout}</Empty>}
        columns={[
          { title: text.devices.name, is: "name", cell: ({ name }) => <strong class="break">{name}</strong> },
          ...(!all
            ? []
            : [
                {
                  title: text.devices.person,
                  cell: (device: Device) => (device.person ? <AccountLink name={device.person} /> : <None />),
                },
              ]),
          {
            title: text.devices.state,
            cell: ({ connected, last_seen }) =>
              connected ? (
                <Tag mood="good">{text.states.connected}</Tag>
              ) : last_seen ? (
                <Time at={last_seen} />
              ) : (
                <span class="soft">{text.devices.neverSeen}</span>
              ),
          },
          { title: text.devices.enrolled, cell: ({ created }) => <Time at={created} /> },
          {
            title: text.devices.key,
            cell: ({ thumbprint }) => (
              <code class="whole" title={thumbprint}>
                {thumbprint.slice(0, 12)}…
              </code>
            ),
          },
          {
            title: text.common.actions,
            is: "end",
            cell: (device, row) => (
              <>
                {may("device.rename") ? (
                  <Button look="quiet" name={`${text.devices.rename} ${row}`} onClick={() => rename(device)}>
                    {text.devices.rename}
                  </Button>
                ) : null}
                {may("device.revoke") ? (
                  <Confirm
                    look="quiet danger"
                    typed={(device.person ?? person) !== me.name}
                    target={device.name}
                    row={row}
                    title={text.devices.revokeTitle(device.name)}
                    explanation={text.devices.revokeAbout}
                    act={() => site.call("device.revoke", { id: device.id })}
                    said={text.devices.revoked(device.name)}
                    done={pages.reload}
                  >
                    {text.devices.revoke}
                  </Confirm>
                ) : null}
              </>
            ),
          },
        ]}
      />
      {renaming ? <Rename device={renaming} close={() => rename(undefined)} done={pages.reload} /> : null}
    </Card>
  );
}

function Rename({ device, close, done }: { device: Device; close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [name, setName] = useState(device.name);
  return (
    <FormDialog
      title={text.devices.renameTitle(device.name)}
      close={close}
      send={() => site.call("device.rename", { id: device.id, name: name.trim() })}
      done={done}
    >
      <Input label={text.devices.name} field="name" value={name} set={setName} />
    </FormDialog>
  );
}
