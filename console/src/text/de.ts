/** German. A missing key does not compile. */
import type { Text } from "./catalogue";
import { accounts } from "./de/accounts";
import { alarms } from "./de/alarms";
import { general } from "./de/general";
import { protection } from "./de/protection";
import { trust } from "./de/trust";

export const de: Text = { ...general, ...accounts, ...alarms, ...trust, ...protection };
