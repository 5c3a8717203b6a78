/** English: defines the keys of all catalogues. */
import { accounts } from "./en/accounts";
import { alarms } from "./en/alarms";
import { general } from "./en/general";
import { protection } from "./en/protection";
import { trust } from "./en/trust";

export const en = { ...general, ...accounts, ...alarms, ...trust, ...protection };
