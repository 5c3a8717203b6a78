/** The screens, in the order of the navigation. One is shown if the caller may call its operation. */
import type { ComponentType } from "preact";
import { Alarms } from "../screens/alarms/alarms";
import { Applications } from "../screens/applications/applications";
import { Audit } from "../screens/audit/audit";
import { Devices } from "../screens/devices/devices";
import { Keys } from "../screens/keys/keys";
import { Lockdown } from "../screens/lockdown/lockdown";
import { Options } from "../screens/options/options";
import { Overview } from "../screens/overview/overview";
import { Peers } from "../screens/peers/peers";
import { People } from "../screens/people/people";
import { Profile } from "../screens/profile/profile";
import { Services } from "../screens/services/services";
import { Sessions } from "../screens/sessions/sessions";
import { Settings } from "../screens/settings/settings";
import { Tokens } from "../screens/tokens/tokens";
import type { Text } from "../text/catalogue";

export interface Screen {
  /** The first part of the place. */
  path: string;
  title: keyof Text["screens"];
  group: keyof Text["groups"];
  /** Without this operation the screen is neither listed nor shown. */
  needs: string;
  component: ComponentType<{ place: string[] }>;
}

export const SCREENS: readonly Screen[] = [
  { path: "", title: "overview", group: "site", needs: "site.status", component: Overview },
  { path: "alarms", title: "alarms", group: "site", needs: "alarm.list", component: Alarms },
  { path: "people", title: "people", group: "accounts", needs: "person.list", component: People },
  { path: "services", title: "services", group: "accounts", needs: "service.list", component: Services },
  { path: "sessions", title: "sessions", group: "accounts", needs: "session.list", component: Sessions },
  { path: "devices", title: "devices", group: "accounts", needs: "device.list", component: Devices },
  { path: "tokens", title: "tokens", group: "accounts", needs: "token.list", component: Tokens },
  { path: "applications", title: "applications", group: "trust", needs: "app.list", component: Applications },
  { path: "peers", title: "peers", group: "trust", needs: "peer.list", component: Peers },
  { path: "options", title: "options", group: "protection", needs: "option.order", component: Options },
  { path: "keys", title: "keys", group: "protection", needs: "site.key_slots", component: Keys },
  { path: "lockdown", title: "lockdown", group: "protection", needs: "lockdown.status", component: Lockdown },
  { path: "audit", title: "audit", group: "protection", needs: "audit.list", component: Audit },
  { path: "settings", title: "settings", group: "protection", needs: "config.list", component: Settings },
  { path: "profile", title: "profile", group: "self", needs: "self.show", component: Profile },
];
