/** The screens, in the order of the navigation. One is shown if the caller may call its operations. */
import type { ComponentType } from "preact";
import { Alarms } from "../screens/alarms/screen";
import { Applications } from "../screens/applications/screen";
import { Audit } from "../screens/audit/screen";
import { Devices } from "../screens/devices/screen";
import { Keys } from "../screens/keys/screen";
import { Lockdown } from "../screens/lockdown/screen";
import { Messages } from "../screens/messages/screen";
import { Options } from "../screens/options/screen";
import { Overview } from "../screens/overview/screen";
import { Peers } from "../screens/peers/screen";
import { People } from "../screens/people/screen";
import { Profile } from "../screens/profile/screen";
import { Services } from "../screens/services/screen";
import { Sessions } from "../screens/sessions/screen";
import { Settings } from "../screens/settings/screen";
import { Tokens } from "../screens/tokens/screen";
import type { Operation } from "../site/contract";
import type { Text } from "../text/catalogue";

export interface Screen {
  /** The first part of the place. */
  path: string;
  title: keyof Text["screens"];
  group: keyof Text["groups"];
  /**
   * Without these operations the screen is neither listed nor shown: first what it reads, then, if callers read that
   * who have nothing to do there, an operation of the others.
   */
  needs: readonly [Operation, ...Operation[]];
  component: ComponentType<{ place: string[] }>;
}

export const SCREENS: readonly Screen[] = [
  { path: "", title: "overview", group: "site", needs: ["site.status"], component: Overview },
  { path: "alarms", title: "alarms", group: "site", needs: ["alarm.list"], component: Alarms },
  { path: "people", title: "people", group: "accounts", needs: ["person.list"], component: People },
  { path: "services", title: "services", group: "accounts", needs: ["service.list"], component: Services },
  { path: "sessions", title: "sessions", group: "accounts", needs: ["session.list"], component: Sessions },
  { path: "devices", title: "devices", group: "accounts", needs: ["device.list"], component: Devices },
  { path: "tokens", title: "tokens", group: "accounts", needs: ["token.list"], component: Tokens },
  {
    path: "applications",
    title: "applications",
    group: "trust",
    needs: ["app.list"],
    component: Applications,
  },
  { path: "peers", title: "peers", group: "trust", needs: ["peer.list"], component: Peers },
  {
    path: "options",
    title: "options",
    group: "protection",
    needs: ["option.list", "option.order"],
    component: Options,
  },
  {
    path: "keys",
    title: "keys",
    group: "protection",
    needs: ["site.key_events", "site.config"],
    component: Keys,
  },
  {
    path: "lockdown",
    title: "lockdown",
    group: "protection",
    needs: ["lockdown.status"],
    component: Lockdown,
  },
  { path: "audit", title: "audit", group: "protection", needs: ["audit.list"], component: Audit },
  { path: "settings", title: "settings", group: "protection", needs: ["config.list"], component: Settings },
  { path: "messages", title: "messages", group: "self", needs: ["peer.inbox"], component: Messages },
  { path: "profile", title: "profile", group: "self", needs: ["self.show"], component: Profile },
];
