/** The frame around a screen: navigation, banners about the connection and the site, short messages. */
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { AlarmText, raiserOf } from "../parts/alarm-text";
import { Brand } from "../parts/brand";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
import { Languages } from "../parts/languages";
import { Page } from "../parts/page";
import type { Connection, Operation, Result, Site } from "../site/contract";
import { type Disruption, isDisruptive } from "../site/disruptive";
import { useText } from "../text/catalogue";
import { useArrival } from "./arrival";
import { zoneOf } from "../parts/account-name";
import { coalesced } from "./coalesced";
import { ConnectionLost, ConsoleContext, SiteClosed, type Console } from "./context";
import { useKeptFocus } from "./focus";
import { useIdle } from "./idle";
import { go, to, usePlace } from "./router";
import { SCREENS } from "./screens";
import { useSettled } from "./settled";

/** What an address shows that leads to no screen, or to none of the user. */
function NoScreen({ path }: { path: string }) {
  const text = useText();
  const isOfOthers = SCREENS.some((screen) => screen.path === path);
  return (
    <Page title={isOfOthers ? text.frame.forbidden : text.frame.unknown}>
      <p>
        <a href={to()}>{text.frame.toOverview}</a>
      </p>
    </Page>
  );
}

interface Props {
  site: Site;
  entered: { me: Result<"self.show">; operations: ReadonlyMap<Operation, Disruption> };
  home: string | undefined;
  connection: Connection;
  refresh: () => void;
  /** Ends the session. `notice` says why, on the login. */
  logout: (notice: string) => Promise<void>;
}

/** How often the state of the site is read, in milliseconds. */
const STATUS = 15_000;
const SAID = 6_000;

export function Frame({ site, entered, home, connection, refresh, logout }: Props) {
  const text = useText();
  const place = usePlace();
  const [open, setOpen] = useState(false);
  const [said, say] = useState<ComponentChildren>("");
  const [status, setStatus] = useState<Result<"site.status">>();
  const [alarms, setAlarms] = useState(0);
  const { me, operations } = entered;

  const look = useCallback(
    () =>
      Promise.all([
        site.call("site.status", {}).then(setStatus, () => {}),
        site.call("alarm.list", { state: "open", limit: 100 }).then(
          ({ entries }) => setAlarms(entries.length),
          () => {},
        ),
      ]),
    [site],
  );
  const read = useCallback(() => void look(), [look]);
  const context = useMemo<Console>(
    () => ({
      site,
      me,
      home,
      zone: zoneOf(me.name),
      may: (operation) => operations.has(operation),
      operations: [...operations.keys()],
      asks: (operation, params) => {
        const described = operations.get(operation);
        return described !== undefined && isDisruptive(described, params);
      },
      say,
      refresh: () => {
        read();
        refresh();
      },
    }),
    [site, me, home, operations, read, refresh],
  );

  useEffect(() => {
    const { ask, stop } = coalesced(look);
    ask();
    const timer = setInterval(() => document.visibilityState === "visible" && ask(), STATUS);
    const end = site.events(({ group }) => {
      if (group === "alarm" || group === "lockdown") ask();
    });
    return () => {
      clearInterval(timer);
      stop();
      end();
    };
  }, [site, look]);
  useEffect(
    () =>
      site.events(({ group, event, data }) => {
        if (group !== "alarm" || event !== "raised") return;
        const alarm = { text: String(data["text"] ?? ""), raised_by: String(data["raised_by"] ?? "") };
        say(
          <>
            {text.alarms.raised(raiserOf(alarm, text))} <AlarmText alarm={alarm} />
          </>,
        );
      }),
    [site, text],
  );
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => say(""), SAID);
    return () => clearTimeout(timer);
  }, [said]);

  const leftAlone = useIdle(() => void logout(text.ended.unattended));
  useArrival(["ticket", "login"], ({ is }) => {
    go();
    say(is === "ticket" ? text.frame.ticketIgnored : text.frame.loginIgnored);
  });

  const path = place[0] ?? "";
  const allowed = useMemo(
    () => SCREENS.filter(({ needs }) => needs.every((needed) => operations.has(needed))),
    [operations],
  );
  const screen = allowed.find((candidate) => candidate.path === path);
  const Shown = screen?.component;
  const groups = [...new Set(allowed.map(({ group }) => group))];
  const main = useRef<HTMLElement>(null);
  useKeptFocus(main);
  const shown = `${path}/${place[1] ?? ""}`;
  const settled = useSettled(main, shown);
  const lost = connection.state === "lost";
  const closed = status?.sealed ? "sealed" : status?.lockdown ? "lockdown" : undefined;
  useEffect(() => setOpen(false), [place.join("/")]);

  return (
    <ConnectionLost.Provider value={lost}>
      <SiteClosed.Provider value={closed}>
        <ConsoleContext.Provider value={context}>
          <button
            type="button"
            class="skip"
            onClick={() => main.current?.querySelector<HTMLElement>("h1")?.focus()}
          >
            {text.frame.skip}
          </button>
          <header class="top">
            <a class="brand" href={to()}>
              <Brand /> Countersign
            </a>
            <button
              type="button"
              class="button quiet"
              aria-expanded={open}
              aria-controls="screens"
              onClick={() => setOpen(!open)}
            >
              {text.frame.menu}
            </button>
          </header>
          <div class="frame">
            <aside class="side" id="screens" aria-label={text.frame.menu} data-open={open}>
              <div class="side-in">
                <a class="brand" href={to()}>
                  <Brand />
                  <span>
                    Countersign <small>{context.zone}</small>
                  </span>
                </a>
                <nav class="nav" aria-label={text.frame.screens}>
                  {groups.map((group) => (
                    <div key={group}>
                      <h2>{text.groups[group]}</h2>
                      <ul>
                        {allowed
                          .filter((candidate) => candidate.group === group)
                          .map((candidate) => (
                            <li key={candidate.path}>
                              <a
                                href={candidate.path ? to(candidate.path) : to()}
                                aria-current={candidate === screen ? "page" : undefined}
                              >
                                {text.screens[candidate.title]}
                                {candidate.path === "alarms" && alarms > 0 ? (
                                  <span class="count" aria-label={text.frame.openAlarms(alarms)}>
                                    {alarms > 99 ? "99+" : alarms}
                                  </span>
                                ) : null}
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
                    <Button look="quiet" onClick={() => void logout(text.ended.logout)}>
                      {text.frame.logout}
                    </Button>
                  </div>
                  <Languages />
                </div>
              </div>
            </aside>
            <div>
              {lost ? (
                <div class="banner warn stays" role="status">
                  {text.frame.lost}
                </div>
              ) : null}
              {status?.lockdown ? (
                <div class="banner bad" role="status">
                  <strong>{text.frame.lockdown(text.lockdown.levels[status.lockdown].name)}</strong>
                  {operations.has("lockdown.status") && path !== "lockdown" ? (
                    <a href={to("lockdown")}>{text.frame.toLockdown}</a>
                  ) : null}
                </div>
              ) : null}
              {status?.sealed ? (
                <div class="banner bad" role="status">
                  {text.frame.sealed}
                </div>
              ) : null}
              <main class="screen" ref={main} data-settled={settled || lost}>
                {Shown ? <Shown key={shown} place={place.slice(1)} /> : <NoScreen key={shown} path={path} />}
              </main>
            </div>
          </div>
          {leftAlone ? (
            <Dialog title={text.frame.leftAlone} close={() => {}}>
              <p>{text.frame.leftAloneAbout}</p>
              <div class="buttons">
                <Button onClick={() => void logout(text.ended.logout)}>{text.frame.logout}</Button>
                <Button look="main">{text.frame.stay}</Button>
              </div>
            </Dialog>
          ) : null}
          <div class="said" role="status">
            {said ? <p>{said}</p> : null}
          </div>
        </ConsoleContext.Provider>
      </SiteClosed.Provider>
    </ConnectionLost.Provider>
  );
}
