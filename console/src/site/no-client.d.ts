/**
 * In the place of the client's declarations, which `scripts/build-web` generates. Without them the build bundles no
 * worker, and checks no use of the client.
 */
type Unchecked = any;
declare const init: Unchecked;
export default init;
export declare const Site: Unchecked;
export type Site = Unchecked;
export type Session = Unchecked;
