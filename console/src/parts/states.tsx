/** What a screen shows beside its data: waiting, empty, failed. */
import type { ComponentChildren } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { ConnectionLost } from "../app/context";
import { LOCAL, Refusal } from "../site/contract";
import { useLanguage, useText, known } from "../text/catalogue";
import { Marked } from "./marked";

/** Failures of which the words of the console say all, also in English: those of the client speak of keys. */
const KNOWN_WHOLE = ["not_authenticated"];

/** Why an action failed, next to the button. The site's own words are English. */
export function Failed({ failure }: { failure: Refusal | undefined }) {
  const text = useText();
  const language = useLanguage();
  if (!failure) return null;
  const network = known(text.network, failure.code);
  if (network)
    return (
      <p class="failure" role="alert">
        {network}
      </p>
    );
  const own = failure.code === LOCAL;
  const hint = hintOf(failure);
  const words = known(text.failures, failure.code);
  if (words && KNOWN_WHOLE.includes(failure.code))
    return (
      <p class="failure" role="alert">
        {words}
      </p>
    );
  return (
    <p class="failure" role="alert">
      {language === "en" || !words ? null : <>{words} </>}
      <span lang={own ? language : "en"}>
        <Marked>{sentence(failure.message)}</Marked>
      </span>
      {hint ? (
        <span class="hint" lang={own ? language : "en"}>
          <Marked>{hint}</Marked>
        </span>
      ) : null}
    </p>
  );
}

/** What the user can do. Hints about the form of parameters are for programs. */
export function hintOf({ code, hint }: Refusal): string | undefined {
  return hint && code !== "invalid_params" ? sentence(hint) : undefined;
}

/** The site's messages begin with a small letter and end without a full stop. A name, such as that of an option, stays. */
export const sentence = (words: string): string => {
  const isName = /^\S*[\d_@/.]\S/.test(words);
  const first = isName ? words : words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
};

/** Says that something is being read, but only if that takes long enough to notice. */
export function Waiting({ words }: { words: string }) {
  const text = useText();
  const lost = useContext(ConnectionLost);
  const [late, set] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => set(true), 250);
    return () => clearTimeout(timer);
  }, []);
  return (
    <p class="waiting" role="status">
      {lost ? text.common.readLater : late ? words : "\u00a0"}
    </p>
  );
}

/** Says that a change is sent when the connection is back, next to its button. */
export function SentLater({ busy, cancels = false }: { busy: boolean; cancels?: boolean }) {
  const text = useText();
  const lost = useContext(ConnectionLost);
  if (!busy || !lost) return null;
  return (
    <p class="small soft" role="status">
      {text.common.sentLater} {cancels ? text.common.cancelWithdraws : text.common.leavingWithdraws}
    </p>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="title">{title}</p>
      {children ? <p>{typeof children === "string" ? <Marked>{children}</Marked> : children}</p> : null}
    </div>
  );
}

/** Waiting, failed, empty, or the data. */
export function Shown<T>({
  reading,
  children,
}: {
  reading: { data: T | undefined; failure: Refusal | undefined; reload: () => void };
  children: (data: T) => ComponentChildren;
}) {
  const text = useText();
  if (reading.data !== undefined) {
    return (
      <>
        <Stale failure={reading.failure} />
        {children(reading.data)}
      </>
    );
  }
  if (reading.failure) return <Unread failure={reading.failure} again={reading.reload} />;
  return <Waiting words={text.common.reading} />;
}

/** Why what is shown could not be renewed. */
export function Stale({ failure }: { failure: Refusal | undefined }) {
  if (!failure) return null;
  return (
    <div class="stale">
      <Failed failure={failure} />
    </div>
  );
}

/** Why nothing can be shown. What does not exist is not read again; the page leads back to its list. */
export function Unread({ failure, again }: { failure: Refusal; again: () => void }) {
  const text = useText();
  // The id of the address has not the form of one.
  if (failure.code === "invalid_params" && failure.field === "id") {
    return (
      <div class="empty">
        <p class="failure" role="alert">
          {text.common.wrongAddress}
        </p>
      </div>
    );
  }
  if (failure.code === "not_found") {
    return (
      <div class="empty">
        <Failed failure={new Refusal(failure.code, failure.message)} />
      </div>
    );
  }
  return (
    <div class="empty">
      <Failed failure={failure} />
      {failure.code === "invalid_params" ? null : (
        <button type="button" class="button quiet" onClick={again}>
          {text.common.tryAgain}
        </button>
      )}
    </div>
  );
}
