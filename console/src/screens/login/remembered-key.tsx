import { useEffect, useState } from "preact/hooks";
import { Button } from "../../parts/button";
import type { Refusal, Site } from "../../site/contract";
import { useText } from "../../text/catalogue";

/** Failures by which the site's key contradicts what this browser remembers of it. */
const CONTRADICTIONS = ["key_events", "wrong_site"];

/** Offers to forget the remembered key of the site, where it is why a login fails. */
export function RememberedKey({ site, failure }: { site: Site; failure: Refusal | undefined }) {
  const text = useText();
  const [state, set] = useState<"known" | "forgotten">();
  const contradicted = failure !== undefined && CONTRADICTIONS.includes(failure.code);
  useEffect(() => {
    set(undefined);
    if (!contradicted) return;
    void site.knowsKey().then(
      (known) => known && set("known"),
      () => {},
    );
  }, [contradicted, site]);
  if (state === undefined) return null;
  if (state === "forgotten")
    return (
      <p class="note" role="status">
        {text.rememberedKey.forgotten}
      </p>
    );
  return (
    <div class="note warn">
      <p>{text.rememberedKey.about}</p>
      <Button look="danger" onClick={() => void site.forgetKey().then(() => set("forgotten"))}>
        {text.rememberedKey.forget}
      </Button>
    </div>
  );
}
