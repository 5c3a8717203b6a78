/** The implementation of `Site` that the build chooses. */
declare module "#site" {
  import type { Site } from "../site/contract";
  export const connect: () => Site;
}
