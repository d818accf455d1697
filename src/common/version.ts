/** The package's version, as `--version` prints it and every config.json records it. A test holds it to package.json. */
export const version = '0.1.0';
