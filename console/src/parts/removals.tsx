import { useConsole } from "../app/context";
import { go } from "../app/router";
import type { Operation } from "../site/contract";
import { useText, type Text } from "../text/catalogue";
import { Confirm } from "./confirm";
import { Marked } from "./marked";
import { Card } from "./page";

type Kind = "person" | "service" | "app" | "peer";
type Verb = "lock" | "disable" | "suspend" | "lockdown" | "delete" | "remove" | "forget";

interface Removed {
  state: string;
  lockdown?: unknown;
  /** Absent if the operations name the object by an id. */
  etag?: string;
}

interface Removal {
  /** Whether the state of the object allows it. */
  when: (object: Removed) => boolean;
  /** The words on the button, the question, and what is said when it is done. */
  words: (text: Text, name: string) => readonly [string, string, string];
  /** It takes a reason. */
  reasoned?: true;
  /** No session undoes it, so the name has to be typed. */
  typed?: true;
  /** The page has nothing to show after it. */
  leaves?: true;
}

const isActive = ({ state }: Removed): boolean => state === "active";

const VERBS: Readonly<Record<Verb, Removal>> = {
  lock: {
    when: isActive,
    words: ({ people }, name) => [people.lock, people.lockTitle(name), people.locked(name)],
  },
  disable: {
    when: ({ state }) => state !== "disabled",
    words: ({ people }, name) => [people.disable, people.disableTitle(name), people.wasDisabled(name)],
  },
  suspend: {
    when: isActive,
    words: ({ peers }, name) => [peers.suspend, peers.suspendTitle(name), peers.wasSuspended(name)],
    reasoned: true,
  },
  lockdown: {
    when: ({ lockdown }) => !lockdown,
    words: ({ people, lockdown }, name) => [
      people.lockdown,
      people.lockdownTitle(name),
      lockdown.imposed(name),
    ],
    reasoned: true,
  },
  delete: {
    when: () => true,
    words: ({ people }, name) => [people.delete, people.deleteTitle(name), people.deleted(name)],
    typed: true,
    leaves: true,
  },
  remove: {
    when: ({ state }) => state !== "removed",
    words: ({ peers }, name) => [peers.remove, peers.removeTitle(name), peers.wasRemoved(name)],
    typed: true,
  },
  forget: {
    when: ({ state }) => state === "removed",
    words: ({ peers }, name) => [peers.forget, peers.forgetTitle(name), peers.forgotten(name)],
    typed: true,
    leaves: true,
  },
};

interface Of {
  /** The parameter that names the object. */
  by: string;
  /** The screen that lists such objects. */
  list: string;
  /** What can be taken away, in the order of the card, and what follows from it. */
  abouts: (text: Text) => Partial<Record<Verb, string>>;
}

const KINDS: Readonly<Record<Kind, Of>> = {
  person: {
    by: "name",
    list: "people",
    abouts: ({ people }) => ({
      lock: people.lockAbout,
      disable: people.disableAbout,
      lockdown: people.lockdownAbout,
      delete: people.deleteAbout,
    }),
  },
  service: {
    by: "name",
    list: "services",
    abouts: ({ services }) => ({
      lock: services.lockAbout,
      disable: services.disableAbout,
      lockdown: services.lockdownAbout,
      delete: services.deleteAbout,
    }),
  },
  app: {
    by: "id",
    list: "applications",
    abouts: ({ applications }) => ({
      lock: applications.lockAbout,
      lockdown: applications.lockdownAbout,
      delete: applications.deleteAbout,
    }),
  },
  peer: {
    by: "peer",
    list: "peers",
    abouts: ({ peers }) => ({
      suspend: peers.suspendAbout,
      lockdown: peers.lockdownAbout,
      remove: peers.removeAbout,
      forget: peers.forgetAbout,
    }),
  },
};

interface Props {
  of: Kind;
  /** The name, which the user types for what cannot be undone. */
  name: string;
  /** What the operations call it; by default the name. */
  id?: string;
  object: Removed;
  /** It is the account of the user, which no session of the user gives back. */
  own?: boolean;
  /** Reads what the page shows again. */
  reload: () => void;
}

/**
 * The card of what takes access away from a person, a service, an application or a peer. It acts on what the page shows:
 * another one may have its name by now.
 */
export function Removals({ of, name, id = name, object, own = false, reload }: Props) {
  const text = useText();
  const { site, may } = useConsole();
  const owns: Readonly<Record<string, string>> = text.people.own;
  const { by, list, abouts } = KINDS[of];
  const possible = (Object.entries(abouts(text)) as [Verb, string][])
    .map(([verb, about]) => {
      const needs = (verb === "lockdown" ? `lockdown.${of}` : `${of}.${verb}`) as Operation;
      return { verb, about, needs, removal: VERBS[verb] };
    })
    .filter(({ needs, removal }) => removal.when(object) && may(needs));
  if (possible.length === 0) return null;
  return (
    <Card title={text.people.danger} about={text.people.dangerAbout} look="stop">
      <ul class="removals">
        {possible.map(({ verb, about, needs, removal: { words, reasoned = false, typed, leaves } }) => {
          const [button, title, said] = words(text, name);
          return (
            <li key={verb}>
              <p>{(own ? owns[verb] : undefined) ?? about}</p>
              <Confirm
                target={name}
                typed={own || typed === true}
                title={title}
                explanation={<Consequences verb={verb} own={own} about={about} />}
                reasoned={reasoned}
                etag={object.etag}
                reload={reload}
                act={(reason, if_match) =>
                  site.call(needs, { [by]: id, if_match, ...(reasoned ? { reason } : {}) } as never)
                }
                said={said}
                done={() => (leaves ? go(list) : reload())}
              >
                {button}
              </Confirm>
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

/** What follows from an action. That of the user's own account has other words: the user cannot undo it. */
export function Consequences({ verb, own, about }: { verb: string; own: boolean; about: string }) {
  const text = useText();
  const owns: Readonly<Record<string, string>> = text.people.own;
  const words = own ? owns[verb] : undefined;
  if (words === undefined) return <p>{about}</p>;
  return (
    <>
      <p>
        <strong>{text.people.isOwn}</strong> {words}
      </p>
      <p class="note warn">
        <Marked>{text.people.lastAdmin}</Marked>
      </p>
    </>
  );
}
