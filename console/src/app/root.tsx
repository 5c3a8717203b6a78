/** Which of the three is shown: the resumption after a reload, the login, or the console. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { Waiting } from "../parts/states";
import { Login } from "../screens/login/screen";
import { UseTicket } from "../screens/login/use-ticket";
import type { About, Connection, Operation, Result, Site } from "../site/contract";
import type { Disruption } from "../site/disruptive";
import { useText, known } from "../text/catalogue";
import { SiteClosed } from "./context";
import { Frame } from "./frame";
import { asRefusal } from "./queries";
import { leave, usePlace } from "./router";

interface Entered {
  me: Result<"self.show">;
  operations: ReadonlyMap<Operation, Disruption>;
}

/** How often the login asks whether the site accepts logins, in milliseconds. */
const LOOK = 15_000;

type State = { is: "resuming" } | { is: "out"; notice?: string } | { is: "in"; entered: Entered };

/** What the site knows of the caller: the account, and the operations that it may call. */
async function enter(site: Site): Promise<Entered> {
  const [me, { operations }] = await Promise.all([
    site.call("self.show", {}),
    site.call("operation.list", {}),
  ]);
  return {
    me,
    operations: new Map(operations.map((one) => [`${one.group}.${one.command}` as Operation, one])),
  };
}

/** The address of the site's own console. */
const homeOf = ({ relay }: About): string | undefined =>
  relay ? relay.http && `${relay.http}/console/` : `${location.origin}${location.pathname}`;

export function Root({ site }: { site: Site }) {
  const text = useText();
  const place = usePlace();
  const [state, set] = useState<State>({ is: "resuming" });
  const [about, setAbout] = useState<About>({});
  const [connection, setConnection] = useState<Connection>({ state: "open" });

  const inside = useCallback(async () => set({ is: "in", entered: await enter(site) }), [site]);
  /** Says on the login why the session ended. */
  const tell = useCallback(
    (notice: string) => set((before) => (before.is === "out" ? { ...before, notice } : before)),
    [],
  );
  const outside = useCallback((notice?: string) => set(notice ? { is: "out", notice } : { is: "out" }), []);

  useEffect(() => {
    const asked = site.about();
    asked.then(setAbout, () => {});
    Promise.all([site.resume(), asked]).then(
      ([resumed]) => (resumed ? inside() : outside()),
      (error: unknown) => {
        const { code, message } = asRefusal(error);
        outside(known({ ...text.ended, ...text.network }, code) ?? message);
      },
    );
  }, [site, inside, outside]);

  useEffect(
    () =>
      site.connection((now) => {
        setConnection(now);
        if (now.state !== "ended") return;
        const words = known(text.ended, now.reason);
        const end = (notice?: string): void =>
          set((before) => (before.is === "in" ? { is: "out", ...(notice ? { notice } : {}) } : before));
        if (now.reason !== "stopping") {
          end(words ?? text.ended.other);
          return;
        }
        // A site that is sealed ends its sessions with the same word as one that stops. Its page says which it is.
        end();
        site.about().then(
          ({ closed }) => tell(closed === "sealed" ? text.ended.sealed : text.ended.stopping),
          () => tell(text.ended.stopping),
        );
      }),
    [site, text, tell],
  );

  const look = useCallback((): void => {
    if (document.visibilityState === "visible") site.about().then(setAbout, () => {});
  }, [site]);
  const isOut = state.is === "out";
  useEffect(() => {
    if (!isOut) return undefined;
    // Whether the site accepts logins changes while the page is open.
    look();
    const timer = setInterval(look, LOOK);
    addEventListener("focus", look);
    return () => {
      clearInterval(timer);
      removeEventListener("focus", look);
    };
  }, [look, isOut]);

  if (state.is === "resuming") {
    return (
      <div class="alone">
        <main>
          <Waiting words={text.login.resuming} />
        </main>
      </div>
    );
  }
  if (state.is === "out") {
    const outer = { site, about, look, notice: state.notice, done: inside };
    return (
      <SiteClosed.Provider value={about.closed}>
        {place[0] === "ticket" ? <UseTicket {...outer} /> : <Login {...outer} />}
      </SiteClosed.Provider>
    );
  }
  return (
    <Frame
      site={site}
      entered={state.entered}
      home={homeOf(about)}
      connection={connection}
      refresh={() => void inside().catch(() => {})}
      logout={async (notice) => {
        outside(notice);
        leave();
        // The page has forgotten the session anyway.
        await site.logout().catch(() => outside(text.ended.unreached));
      }}
    />
  );
}
