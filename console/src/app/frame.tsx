/** The frame around a screen: navigation, banners about the connection and the site, short messages. */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../parts/button";
import { Dialog } from "../parts/dialog";
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
import { Navigation } from "./navigation";
import { Corner, NoticesProvider, useNotices } from "./notices";
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

export function Frame({ site, entered, home, connection, refresh, logout }: Props) {
  const text = useText();
  const place = usePlace();
  const [status, setStatus] = useState<Result<"site.status">>();
  const [alarms, setAlarms] = useState(0);
  const { me, operations } = entered;
  const shown = `${place[0] ?? ""}/${place[1] ?? ""}`;
  const [notices, say] = useNotices(site, shown);

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
    [site, me, home, operations, say, read, refresh],
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
  const main = useRef<HTMLElement>(null);
  useKeptFocus(main);
  const settled = useSettled(main, shown);
  const lost = connection.state === "lost";
  const closed = status?.sealed ? "sealed" : status?.lockdown ? "lockdown" : undefined;

  return (
    <ConnectionLost.Provider value={lost}>
      <SiteClosed.Provider value={closed}>
        <ConsoleContext.Provider value={context}>
          <NoticesProvider value={notices}>
            <button
              type="button"
              class="skip"
              onClick={() => main.current?.querySelector<HTMLElement>("h1")?.focus()}
            >
              {text.frame.skip}
            </button>
            <div class="frame">
              <Navigation
                screens={allowed}
                screen={screen}
                alarms={alarms}
                logout={() => void logout(text.ended.logout)}
              />
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
                  {Shown ? (
                    <Shown key={shown} place={place.slice(1)} />
                  ) : (
                    <NoScreen key={shown} path={path} />
                  )}
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
            <Corner may={context.may} />
          </NoticesProvider>
        </ConsoleContext.Provider>
      </SiteClosed.Provider>
    </ConnectionLost.Provider>
  );
}
