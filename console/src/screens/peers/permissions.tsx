import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { Button } from "../../parts/button";
import { Check } from "../../parts/form";
import { FormDialog } from "../../parts/form-dialog";
import { Card, Facts } from "../../parts/page";
import { Tag } from "../../parts/tag";
import type { Params, Result } from "../../site/contract";
import { useText, type Text } from "../../text/catalogue";

type Shows = Result<"peer.show">;
type Permission = Params<"peer.permit">["allows"][number];

/** Each kind of operation that a peer may be allowed, with its words. */
function kindsOf(text: Text): readonly (readonly [Permission, string])[] {
  const kinds: Readonly<Record<Permission, string>> = text.peers.permissions.kinds;
  return Object.entries(kinds) as [Permission, string][];
}

/** What a peer may ask this site for. */
export function Permissions({ peer, reload }: { peer: Shows; reload: () => void }) {
  const text = useText();
  const { may } = useConsole();
  const [changing, change] = useState(false);
  return (
    <Card
      title={text.peers.permissions.title}
      actions={
        may("peer.permit") && peer.state !== "removed" ? (
          <Button
            look="quiet"
            name={`${text.common.change} ${text.peers.permissions.title}`}
            onClick={() => change(true)}
          >
            {text.common.change}
          </Button>
        ) : null
      }
    >
      <div class="body">
        <Facts
          facts={kindsOf(text).map(([kind, words]) => [
            words,
            peer.allows.includes(kind) ? (
              <Tag mood="good">{text.peers.permissions.allowed}</Tag>
            ) : (
              <Tag mood="plain">{text.peers.permissions.refused}</Tag>
            ),
          ])}
        />
      </div>
      {changing ? <Change peer={peer} close={() => change(false)} done={reload} /> : null}
    </Card>
  );
}

/** The whole set is sent: the operation replaces the one before. */
function Change({ peer, close, done }: { peer: Shows; close: () => void; done: () => void }) {
  const text = useText();
  const { site, asks } = useConsole();
  // As they were when the dialog opened: the page reads the peer again meanwhile.
  const [before] = useState<ReadonlySet<Permission>>(new Set(peer.allows));
  const [chosen, choose] = useState(before);
  const params = { peer: peer.site, allows: [...chosen] };
  return (
    <FormDialog
      title={text.peers.permissions.changeTitle(peer.zone)}
      close={close}
      send={() => site.call("peer.permit", params)}
      done={done}
    >
      <fieldset class="choices">
        <legend>{text.peers.permissions.title}</legend>
        {kindsOf(text).map(([kind, words]) => (
          <Check
            key={kind}
            label={words}
            help={text.peers.permissions.helps[kind]}
            value={chosen.has(kind)}
            set={(allowed) => {
              const next = new Set(chosen);
              if (allowed) next.add(kind);
              else next.delete(kind);
              choose(next);
            }}
          />
        ))}
      </fieldset>
      <div aria-live="polite">
        {asks("peer.permit", params) ? <p class="note warn">{text.peers.permissions.takesAway}</p> : null}
        {before.has("tickets") && !chosen.has("tickets") ? (
          <p class="note warn">{text.peers.permissions.voids}</p>
        ) : null}
      </div>
    </FormDialog>
  );
}
