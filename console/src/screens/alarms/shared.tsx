/** What the list of alarms, an alarm, and the list of messages about them share. */
import type { ComponentChildren } from "preact";
import { useConsole } from "../../app/context";
import { useFilter } from "../../app/router";
import { Act, type Look } from "../../parts/button";
import { Select } from "../../parts/form";
import { StateTag } from "../../parts/tag";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Alarm = Pick<Result<"alarm.list">["entries"][number], "id" | "text" | "state">;

/** The state of an alarm; `open` means something else elsewhere. */
export function AlarmState({ state }: { state: string }) {
  return <StateTag state={state === "open" ? "unacknowledged" : state} />;
}

interface AcknowledgeProps {
  alarm: Alarm;
  /** The name of the alarm in a list; by default its text. */
  row?: string;
  look: Look;
  reload: () => void;
}

export function Acknowledge({ alarm, row = alarm.text, look, reload }: AcknowledgeProps) {
  const text = useText();
  const { site, may } = useConsole();
  if (alarm.state !== "open" || !may("alarm.acknowledge")) return null;
  return (
    <Act
      look={look}
      name={`${text.alarms.acknowledge}: ${row}`}
      act={() => site.call("alarm.acknowledge", { id: alarm.id })}
      said={text.alarms.acknowledged}
      done={reload}
    >
      {text.alarms.acknowledge}
    </Act>
  );
}

/** Chooses one state, or all. Returns the parameters of the operation that lists, and the field. */
export function useStateFilter<T extends string>(
  first: T | "all",
  states: readonly (readonly [T, string])[],
): [{ state?: T }, ComponentChildren] {
  const text = useText();
  const [filter, set] = useFilter({ state: first as string });
  const known: readonly string[] = ["all", ...states.map(([one]) => one)];
  const state = (known.includes(filter.state) ? filter.state : first) as T | "all";
  return [
    state === "all" ? {} : { state },
    <div class="filters">
      <Select
        label={text.alarms.show}
        value={state}
        set={(one) => set({ state: one })}
        options={[...states, ["all", text.alarms.filterAll]]}
      />
    </div>,
  ];
}
