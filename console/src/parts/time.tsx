import { useLanguage } from "../text/catalogue";

/** The browser's locale if it is of the language, since it says how dates are written: en-GB, de-CH. */
const localeOf = (language: string): string =>
  navigator.languages.find((tag) => tag.slice(0, 2) === language) ?? language;

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** Writes the date and the time to the second. */
export function useExact(): (at: string) => string {
  const language = useLanguage();
  const format = new Intl.DateTimeFormat(localeOf(language), { dateStyle: "medium", timeStyle: "medium" });
  return (at) => format.format(new Date(at));
}

/** The same with the time zone, which is that of the browser. */
function useTitle(): (at: string) => string {
  const language = useLanguage();
  const exact = useExact();
  const format = new Intl.DateTimeFormat(localeOf(language), { timeZoneName: "short" });
  return (at) => {
    const zone = format.formatToParts(new Date(at)).find(({ type }) => type === "timeZoneName");
    return `${exact(at)} ${zone?.value ?? ""}`;
  };
}

/**
 * How far a time is from now, in the unit that is rounded to fewer than the next one: up to 48 hours, which are no
 * "yesterday" and no "tomorrow". Nothing for a time that is farther.
 */
export function distance(seconds: number): [number, Intl.RelativeTimeFormatUnit] | undefined {
  const minutes = Math.round(seconds / 60);
  const hours = Math.round(seconds / 3_600);
  if (Math.abs(seconds) < 60) return [Math.round(seconds), "second"];
  if (Math.abs(minutes) < 60) return [minutes, "minute"];
  if (Math.abs(hours) <= 48) return [hours, "hour"];
  return undefined;
}

/** Within two days relative to now, otherwise the date. The exact time is in the title. */
export function Time({ at }: { at: string | null | undefined }) {
  const language = useLanguage();
  const title = useTitle();
  if (!at) return null;
  const date = new Date(at);
  const near = distance((date.getTime() - Date.now()) / 1000);
  const words = near
    ? new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(...near)
    : new Intl.DateTimeFormat(localeOf(language), { dateStyle: "medium" }).format(date);
  return (
    <time dateTime={at} title={title(at)}>
      {words}
    </time>
  );
}

/** The date and the time to the second. */
export function Exact({ at }: { at: string }) {
  const exact = useExact();
  const title = useTitle();
  return (
    <time dateTime={at} title={title(at)}>
      {exact(at)}
    </time>
  );
}

const UNITS: readonly (readonly [string, number])[] = [
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
  ["millisecond", 1],
];

/** Whether a number of seconds is a length of time. */
export const isLength = (seconds: number): boolean => Number.isSafeInteger(seconds) && seconds > 0;

/** A length of time without a remainder: 90 days, but 25 hours. Nothing for a number that is no length. */
export function Span({ seconds }: { seconds: number }) {
  const language = useLanguage();
  if (!isLength(seconds)) return null;
  const [unit, length] = STEPS.find(([, step]) => seconds % step === 0) ?? ["second", 1];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return <>{format.format(seconds / length)}</>;
}

/** A length of time in its largest whole unit, rounded up. */
export function Duration({ milliseconds }: { milliseconds: number }) {
  const language = useLanguage();
  const [unit, length] = UNITS.find(([, step]) => milliseconds >= step) ?? ["millisecond", 1];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return <>{format.format(Math.ceil(milliseconds / length))}</>;
}
