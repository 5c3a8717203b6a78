import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { Button } from "../../parts/button";
import { useAccountFilter } from "../../parts/filter";
import { Page } from "../../parts/page";
import { useText } from "../../text/catalogue";
import { CreateToken } from "./create-token";
import { TokenTable } from "./token-table";

/** Access tokens, with which programs call the REST API. */
export function Tokens() {
  const text = useText();
  const { may, home } = useConsole();
  const [creating, create] = useState(false);
  const [renewed, renew] = useState(0);
  const [account, filter] = useAccountFilter(text.tokens.account, ["person", "service"]);
  return (
    <Page
      wide
      title={text.screens.tokens}
      about={text.tokens.about}
      actions={
        may("token.create") ? (
          <Button look="main" onClick={() => create(true)}>
            {text.tokens.create}
          </Button>
        ) : null
      }
    >
      {home ? (
        <p>
          <a href={new URL("../api/v1/docs", home).href} target="_blank" rel="noopener">
            {text.tokens.docs}
          </a>
        </p>
      ) : null}
      {filter}
      <section class="card">
        <TokenTable {...(account ? { account } : {})} all renewed={renewed} />
      </section>
      {creating ? <CreateToken close={() => create(false)} done={() => renew(renewed + 1)} /> : null}
    </Page>
  );
}
