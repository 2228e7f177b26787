/* Where the program's own data lie. */
#ifndef BASE_SHARE_H
#define BASE_SHARE_H

/* The folder with the catalogue: $JUAN_SHARE, else ../share/juan or ../share beside the program (installed; in the build
 * folder), else where it was to be installed. mem_free it; NULL: no memory. */
char *share_folder(void);

#endif
