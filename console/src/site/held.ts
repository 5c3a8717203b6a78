/**
 * Changes that wait for a lost connection. Nothing of them was sent, so they can be withdrawn. Those that were sent are
 * counted, since they cannot.
 */
import { Refusal } from "./contract";

/** What became of changes that are no longer wanted: one was sent; all were withdrawn; there were none. */
export type Withdrawn = "sent" | "withdrawn" | "none";

interface Waiting {
  number: number;
  go: () => void;
  withdraw: (failure: Refusal) => void;
}

export class Held {
  private readonly waiting = new Set<Waiting>();
  private isLost = false;
  /** The numbers of the newest change, and of the newest one that was sent. */
  private newest = 0;
  private sent = 0;

  /** Whether the connection is lost. When it is not, everything that waits goes on in its order. */
  set lost(is: boolean) {
    this.isLost = is;
    if (is) return;
    const going = [...this.waiting];
    this.waiting.clear();
    for (const { go } of going) go();
  }

  /**
   * Waits while the connection is lost. Rejects with `withdrawn` if the change is withdrawn meanwhile. A change that
   * has no effect by itself, such as a proof, is not counted as sent.
   */
  async pass(hasEffect = true): Promise<void> {
    const number = ++this.newest;
    if (this.isLost) await new Promise<void>((go, withdraw) => this.waiting.add({ number, go, withdraw }));
    if (hasEffect) this.sent = Math.max(this.sent, number);
  }

  /** Returns the function that withdraws each change from now on that still waits. */
  watch(): () => Withdrawn {
    const from = this.newest;
    return () => {
      const unwanted = [...this.waiting].filter(({ number }) => number > from);
      for (const one of unwanted) {
        this.waiting.delete(one);
        one.withdraw(new Refusal("withdrawn", "the change was withdrawn before it was sent"));
      }
      if (this.sent > from) return "sent";
      return unwanted.length > 0 ? "withdrawn" : "none";
    };
  }
}
