/** The hashed name of the module's file, which the build defines. */
declare const WASM_FILE: string;
/** The hashed name of the worker's file, which the build defines. */
declare const WORKER_FILE: string;
