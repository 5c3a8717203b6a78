/**
 * Short messages and new alarms in the corner of the window. While a dialog is open, all the rest of the page is inert
 * and lies under it, so that the topmost dialog has them.
 */
import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { AlarmText, raiserOf } from "../parts/alarm-text";
import { Button } from "../parts/button";
import type { Operation, Site } from "../site/contract";
import { useText } from "../text/catalogue";
import { to } from "./router";

/** How long a message is shown, in milliseconds. An alarm is shown until the user dismisses it or opens an alarm. */
const SAID = 6_000;

/** So many alarms are counted. */
const MOST = 99;

interface NewAlarm {
  id: string;
  text: string;
  raised_by: string;
}

interface Notices {
  said: ComponentChildren;
  /** The newest is the last. */
  alarms: readonly NewAlarm[];
  dismiss: () => void;
  /** The open dialogs; the topmost is the last. */
  dialogs: readonly string[];
  /** Opens a dialog. Returns the function that closes it. */
  enter: (dialog: string) => () => void;
}

const NoticesContext = createContext<Notices | undefined>(undefined);
export const NoticesProvider = NoticesContext.Provider;

/** What there is to say, and the function that says something. `place` is the present screen and its object. */
export function useNotices(site: Site, place: string): [Notices, (message: ComponentChildren) => void] {
  const [said, say] = useState<ComponentChildren>("");
  const [alarms, setAlarms] = useState<readonly NewAlarm[]>([]);
  const [dialogs, setDialogs] = useState<readonly string[]>([]);
  useEffect(
    () =>
      site.events(({ group, event, data }) => {
        if (group !== "alarm") return;
        const [id, text, raised_by] = ["id", "text", "raised_by"].map((name) => String(data[name] ?? ""));
        setAlarms((before) => {
          const others = before.filter((alarm) => alarm.id !== id);
          if (event === "raised") return [...others, { id, text, raised_by } as NewAlarm].slice(-MOST);
          return event === "acknowledged" || event === "over" ? others : before;
        });
      }),
    [site],
  );
  const dismiss = useCallback(() => setAlarms([]), []);
  useEffect(() => {
    if (place.startsWith("alarms/")) dismiss();
  }, [place, dismiss]);
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => say(""), SAID);
    return () => clearTimeout(timer);
  }, [said]);
  const enter = useCallback((dialog: string) => {
    setDialogs((before) => [...before, dialog]);
    return () => setDialogs((before) => before.filter((other) => other !== dialog));
  }, []);
  return [
    useMemo(() => ({ said, alarms, dismiss, dialogs, enter }), [said, alarms, dismiss, dialogs, enter]),
    say,
  ];
}

/** The corner of the page, or of a dialog while that is the topmost. */
export function Corner({ dialog, may }: { dialog?: string; may?: (operation: Operation) => boolean }) {
  const text = useText();
  const notices = useContext(NoticesContext);
  if (!notices || notices.dialogs.at(-1) !== dialog) return null;
  const { said, alarms, dismiss } = notices;
  const newest = alarms.at(-1);
  return (
    <div class="said">
      <div class="new-alarm">
        <div role="status">
          {newest ? (
            <p key={newest.id}>
              {text.alarms.raised(raiserOf(newest, text))} <AlarmText alarm={newest} />
            </p>
          ) : null}
        </div>
        {newest ? (
          <div class="buttons">
            {may?.("alarm.show") ? (
              <a class="button quiet" href={to("alarms", ...(alarms.length === 1 ? [newest.id] : []))}>
                {alarms.length === 1 ? text.alarms.openOne : text.alarms.openAll(alarms.length)}
              </a>
            ) : null}
            <Button look="quiet" onClick={dismiss}>
              {text.alarms.dismiss}
            </Button>
          </div>
        ) : null}
      </div>
      <div role="status">{said ? <p>{said}</p> : null}</div>
    </div>
  );
}

/** The corner of a dialog. A link would leave it, and what it shows once. */
export function useCorner(): ComponentChildren {
  const dialog = useId();
  const enter = useContext(NoticesContext)?.enter;
  useLayoutEffect(() => enter?.(dialog), [enter, dialog]);
  return <Corner dialog={dialog} />;
}
