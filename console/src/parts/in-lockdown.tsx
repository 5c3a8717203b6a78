import type { ComponentChildren } from "preact";
import { useConsole } from "../app/context";
import type { Params } from "../site/contract";
import { useText } from "../text/catalogue";
import type { Look } from "./button";
import { Confirm } from "./confirm";
import { Card, Facts } from "./page";
import { StateTag, Tag } from "./tag";
import { Exact } from "./time";

interface Lockdown {
  since: string;
  by: string;
  reason: string;
}

/** An account, an application or a peer, as the site shows it. */
interface Shown {
  state: string;
  lockdown?: Lockdown | null | undefined;
}

/** Its state. One in lockdown is refused, so it is not called active. */
export function StateTags({ of: { state, lockdown }, reason = false }: { of: Shown; reason?: boolean }) {
  const text = useText();
  if (!lockdown) return <StateTag state={state} />;
  return (
    <>
      <Tag mood="bad">{text.lockdown.inForce}</Tag>
      {state === "active" ? null : (
        <>
          {" "}
          <StateTag state={state} />
        </>
      )}
      {reason && lockdown.reason ? <div class="small soft break">{lockdown.reason}</div> : null}
    </>
  );
}

interface LiftProps {
  /** What is in lockdown, as the page calls it. */
  name: string;
  /** The same for `lockdown lift`. */
  lifts: Params<"lockdown.lift">;
  look?: Look;
  done: () => void;
}

/** Lifts the lockdown of an account, an application or a peer. */
export function Lift({ name, lifts, look = "", done }: LiftProps) {
  const text = useText();
  const { site, may } = useConsole();
  if (!may("lockdown.lift")) return null;
  return (
    <Confirm
      look={look}
      typed={false}
      target={name}
      title={text.lockdown.liftTitle(name)}
      explanation={text.lockdown.liftAbout}
      act={() => site.call("lockdown.lift", lifts)}
      said={text.lockdown.lifted(name)}
      done={done}
    >
      {text.lockdown.lift}
    </Confirm>
  );
}

/** The column of a list that lifts lockdowns. */
export function LiftInRow({ of: { lockdown }, ...lift }: { of: Shown } & Omit<LiftProps, "look">) {
  return lockdown ? <Lift {...lift} look="quiet" /> : null;
}

/** Why the object of a page is in lockdown, and how that ends. */
export function InLockdown({ of: { lockdown }, ...lift }: { of: Shown } & Omit<LiftProps, "look">) {
  const text = useText();
  if (!lockdown) return null;
  const facts: [string, ComponentChildren][] = [
    [text.lockdown.reason, lockdown.reason || text.lockdown.noReason],
    [text.lockdown.by, lockdown.by],
    [text.lockdown.since, <Exact at={lockdown.since} />],
  ];
  return (
    <Card
      title={text.lockdown.inForce}
      about={text.lockdown.inForceAbout}
      look="stop"
      actions={<Lift {...lift} />}
    >
      <div class="body">
        <Facts facts={facts} />
      </div>
    </Card>
  );
}
