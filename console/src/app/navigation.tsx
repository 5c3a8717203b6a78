/** The list of screens. In a narrow window a button in the bar opens it over the screen. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { Brand } from "../parts/brand";
import { Button } from "../parts/button";
import { Languages } from "../parts/languages";
import { useText } from "../text/catalogue";
import { useConsole } from "./context";
import { to } from "./router";
import type { Screen } from "./screens";

interface Props {
  /** The screens of the user. */
  screens: readonly Screen[];
  /** The present one. */
  screen: Screen | undefined;
  /** How many alarms are open. */
  alarms: number;
  logout: () => void;
}

export function Navigation({ screens, screen, alarms, logout }: Props) {
  const text = useText();
  const { me, zone } = useConsole();
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const list = menu.current;
    if (!open || !list) return undefined;
    const link = list.querySelector<HTMLElement>("[aria-current=page]");
    (link ?? list.querySelector<HTMLElement>(".nav a"))?.focus();
    const isOutside = (target: EventTarget | null): boolean =>
      target instanceof Node && !list.contains(target) && !button.current?.contains(target);
    const look = ({ target }: Event): void => {
      if (isOutside(target)) setOpen(false);
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      setOpen(false);
      button.current?.focus();
    };
    addEventListener("pointerdown", look);
    addEventListener("focusin", look);
    addEventListener("keydown", key);
    return () => {
      removeEventListener("pointerdown", look);
      removeEventListener("focusin", look);
      removeEventListener("keydown", key);
    };
  }, [open]);
  const groups = [...new Set(screens.map(({ group }) => group))];
  return (
    <>
      <header class="top">
        <a class="brand" href={to()}>
          <Brand /> Countersign
        </a>
        <button
          ref={button}
          type="button"
          class="button quiet"
          aria-expanded={open}
          aria-controls="screens"
          onClick={() => setOpen(!open)}
        >
          {open ? text.common.close : text.frame.menu}
          <Count alarms={alarms} />
        </button>
      </header>
      <aside
        ref={menu}
        class="side"
        id="screens"
        aria-label={text.frame.menu}
        data-open={open}
        onClick={({ target }) => {
          if (!open || !(target instanceof Element) || !target.closest("a")) return;
          setOpen(false);
          // Another screen takes it from there.
          button.current?.focus();
        }}
      >
        <div class="side-in">
          <a class="brand" href={to()}>
            <Brand />
            <span>
              Countersign <small>{zone}</small>
            </span>
          </a>
          <nav class="nav" aria-label={text.frame.screens}>
            {groups.map((group) => (
              <div key={group}>
                <h2>{text.groups[group]}</h2>
                <ul>
                  {screens
                    .filter((candidate) => candidate.group === group)
                    .map((candidate) => (
                      <li key={candidate.path}>
                        <a
                          href={candidate.path ? to(candidate.path) : to()}
                          aria-current={candidate === screen ? "page" : undefined}
                        >
                          {text.screens[candidate.title]}
                          {candidate.path === "alarms" ? <Count alarms={alarms} /> : null}
                        </a>
                      </li>
                    ))}
                </ul>
              </div>
            ))}
          </nav>
          <div class="side-end">
            <p class="small break">{text.frame.loggedInAs(me.name)}</p>
            <div class="buttons">
              <Button look="quiet" onClick={logout}>
                {text.frame.logout}
              </Button>
            </div>
            <Languages />
          </div>
        </div>
      </aside>
    </>
  );
}

function Count({ alarms }: { alarms: number }) {
  const text = useText();
  if (alarms === 0) return null;
  return (
    <span class="count" role="img" aria-label={text.frame.openAlarms(alarms)}>
      {alarms > 99 ? "99+" : alarms}
    </span>
  );
}
